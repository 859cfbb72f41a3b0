"""Real runs in processes of their own: the server is killed, the worker is killed, both; and the disk is full.

Each process imports torch, which takes seconds: one story holds all the kills.
"""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from cxrviewer.classifiers.bundle import open_bundle
from cxrviewer.errors import StorageError
from cxrviewer.training import disk, keeping, runs
from cxrviewer.training.commands import train
from cxrviewer.training.config import Stage, TrainingConfig
from cxrviewer.training.fit import fit, load_state
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.run_listing import RunStatus, last_metrics, log_tail, read_status

Build = Callable[..., TrainingConfig]

SERVER = """
import sys, time
from pathlib import Path
from cxrviewer.training.config import load_config
from cxrviewer.training.runs import submit
folder = Path(sys.argv[1])
for name in sys.argv[2:]:
    submit(load_config(Path(name)), folder, "cpu")
print("submitted", flush=True)
time.sleep(300)
"""


def status_of(path: Path) -> RunStatus:
    found = read_status(path)
    assert found is not None
    return found


def wait_until(path: Path, true: Callable[[RunStatus], bool], seconds: float = 120.0) -> RunStatus:
    until = time.monotonic() + seconds
    while not true(status_of(path)):
        assert time.monotonic() < until, (status_of(path), log_tail(path), (path / "output.txt").read_text())
        time.sleep(0.05)
    return status_of(path)


def same(found: Path, wanted: Path) -> None:
    a, b = load_state(found), load_state(wanted)
    assert a.keys() == b.keys()
    for name, tensor in b.items():
        assert torch.equal(tensor, a[name]), name


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="runs in the background need Linux or macOS")
def test_runs_go_on_when_the_server_the_worker_or_both_are_killed(
    tiny_config: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server dies with its first run at work; the run ends, starts the second; that is killed, and resumed."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path))
    long = (Stage(size=32, epochs=40),)
    configs = [tiny_config(id="first", scope_epochs=0), tiny_config(id="second", stages=long, scope_epochs=0)]
    names = []
    for config in configs:
        (tmp_path / f"{config.id}.json").write_text(config.model_dump_json())
        names.append(str(tmp_path / f"{config.id}.json"))
    root = str(Path(__file__).resolve().parents[2])
    first, second = tmp_path / "runs" / "first", tmp_path / "runs" / "second"
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path / "runs"), *names],
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": root}, start_new_session=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None and server.stdout.readline() == b"submitted\n"
        assert [status_of(path).state for path in (first, second)] == ["running", "queued"]
        os.killpg(server.pid, signal.SIGKILL)  # and with it all that is not in a session of its own
        server.wait()
        server.stdout.close()
        # Both: the run's own process too, before it has done anything. Nobody is left to start the other one.
        killed = status_of(first).process
        assert killed is not None
        os.kill(killed.pid, signal.SIGKILL)
        wait_until(first, lambda run: run.state == "lost", 5)
        assert status_of(second).state == "queued"
        assert runs.resume(first).state == "queued", "the other one was there before it"
        assert status_of(second).state == "running"
        at_work = wait_until(second, lambda run: (second / "metrics.csv").is_file() or run.state == "failed")
        wait_until(
            second, lambda run: int(last_metrics(second).get("epoch") or 0) >= 2 or run.state == "failed"
        )
        assert at_work.process is not None and at_work.process.alive
        os.kill(at_work.process.pid, signal.SIGKILL)
        wait_until(second, lambda run: run.state == "lost", 5)
        # A page that looks starts what waits; that run's own process then starts the next one, without a server.
        assert [run.id for run in runs.tick(tmp_path / "runs")] == ["first"]
        assert runs.resume(second).state == "queued"
        wait_until(first, lambda run: run.state == "finished" or run.state == "failed")
        done = wait_until(second, lambda run: run.state in ("finished", "failed"))
    finally:
        if server.poll() is None:
            server.kill()
            server.wait()
    assert status_of(first).state == done.state == "finished", log_tail(second)
    assert (second / "bundle" / "second" / "card.json").is_file()
    # As many threads as the process had: sums in another order differ in their last bits.
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    unbroken = fit(configs[1], RunFolder(tmp_path / "unbroken"))
    torch.set_num_threads(before)
    same(RunFolder(second).checkpoint, unbroken)
    rows = (second / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [str(n) for n in range(40)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB; mounting one takes root."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True, check=False
    ) if sys.platform == "linux" else None  # fmt: skip
    if made is None or made.returncode:
        pytest.skip("no small disk: a tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)


def test_a_full_disk_stops_a_run_and_space_brings_it_back(
    tiny_config: Build, tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MARGIN", 0)
    config = tiny_config(scope_epochs=0)
    (tmp_path / "config.json").write_text(config.model_dump_json())
    run = RunFolder(small_disk / "runs" / "tiny-test")
    ballast = small_disk / "ballast"

    def fill(share: float, words: str) -> None:
        if "epoch 3" in words and not ballast.exists():
            with ballast.open("wb", buffering=0) as file, pytest.raises(OSError):
                while True:
                    file.write(bytes(4096))

    with pytest.raises(StorageError, match="is full"):
        train(tmp_path / "config.json", run.path, tell=fill)
    assert not list(run.path.glob("**/*.new")), "nothing is left half-written"
    assert (run.path / "checkpoints" / "epoch-0002.ckpt.sha256").is_file()
    ended = status_of(run.path)
    assert ended.state == "failed" and "is full" in ended.message, "told in the place of its earlier words"
    ballast.unlink()
    train(tmp_path / "config.json", run.path, resume=True)
    assert status_of(run.path).state == "finished"
    same(run.checkpoint, fit(config, RunFolder(tmp_path / "unbroken")))


TROUBLE = [
    *(
        (target, errno.ENOSPC, "is full")
        for target in ("split.csv", "metrics.csv", "log.txt", "0002.ckpt.sha256", "metrics.json", "card.json")
    ),
    ("0002.ckpt", errno.ENOSPC, "is full"),
    ("0002.ckpt", errno.EROFS, "is read-only"),
    ("0002.ckpt", errno.EIO, "reports an error"),
]


class Refusing:
    """A disk that takes nothing under names with `target` in them, for as long as `number` is set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, target: str) -> None:
        self.number = 0
        really = Path.open

        def open_(path: Path, mode: str = "r", *arguments: object, **options: object) -> object:
            if self.number and target in path.name and set(mode) & set("wa"):
                raise OSError(self.number, os.strerror(self.number))
            return really(path, mode, *arguments, **options)  # type: ignore[call-overload]

        monkeypatch.setattr(Path, "open", open_)


@pytest.mark.parametrize(("target", "number", "words"), TROUBLE)
def test_a_disk_that_refuses_a_file_is_told_and_the_run_goes_on_later(
    tiny_config: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, number: int, words: str
) -> None:
    config = tiny_config(scope_epochs=0, stages=(Stage(size=32, epochs=2),))
    (tmp_path / "config.json").write_text(config.model_dump_json())
    path = tmp_path / "runs" / "tiny-test"
    refusing = Refusing(monkeypatch, target)
    refusing.number = number
    with pytest.raises(StorageError, match=words) as caught:
        train(tmp_path / "config.json", path)
    ended = status_of(path)
    assert (ended.state, ended.message) == ("failed", str(caught.value))
    assert not list(path.glob("**/*.new")), "nothing is left half-written"
    made = path / "bundle" / "tiny-test"
    assert not made.exists() or open_bundle(made).card.id == "tiny-test", "a bundle is whole or absent"
    refusing.number = 0
    bundle = train(tmp_path / "config.json", path, resume=True)
    assert (bundle / "card.json").is_file() and status_of(path).state == "finished"
    rows = (path / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "0", "1"]


def test_a_status_that_cannot_be_replaced_stops_no_run(
    tiny_config: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tiny_config(scope_epochs=0, stages=(Stage(size=32, epochs=1),))
    (tmp_path / "config.json").write_text(config.model_dump_json())
    path = tmp_path / "runs" / "tiny-test"
    refusing = Refusing(monkeypatch, "status.json")

    def refuse(share: float, words: str) -> None:
        refusing.number = errno.ENOSPC

    train(tmp_path / "config.json", path, tell=refuse)
    assert status_of(path).state == "finished"


def test_half_a_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a small disk does: it takes some bytes of a line, and no more."""
    file = tmp_path / "log.txt"
    disk.append_whole(file, "whole\n")
    limit = file.stat().st_size + 3
    really = io.FileIO.write

    class Small(io.FileIO):
        def write(self, content: bytes) -> int:  # type: ignore[override]
            return really(self, content[: limit - self.tell()])

    monkeypatch.setattr(Path, "open", lambda path, mode, buffering: Small(path, mode.replace("b", "")))
    with pytest.raises(OSError, match="No space"):
        disk.append_whole(file, "another\n")
    monkeypatch.undo()
    assert file.read_text() == "whole\n"
