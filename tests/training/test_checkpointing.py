"""Checkpoints are whole or absent: killed, refused by the disk or broken at any moment, a run goes on from a good one.

The kills are real: a process forked for each moment ends itself by SIGKILL at that operation of a save.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from cxrviewer.errors import NotFoundError, StorageError, UnreadableError
from cxrviewer.training import checkpoints, disk, keeping
from cxrviewer.training.checkpoint_names import name_of, newest, whole
from cxrviewer.training.config import Source, Stage, TrainingConfig
from cxrviewer.training.fit import fit, load_state
from cxrviewer.training.keeping import refuse_without_space
from cxrviewer.training.run_folder import RunFolder

Build = Callable[..., TrainingConfig]
STEPS = ("write", "fsync", "rename", "unlink")


@contextmanager
def watched(before: Callable[[str], None]) -> Iterator[None]:
    """`before` is called with its name before every operation of a save on the disk."""
    with pytest.MonkeyPatch.context() as patch:
        for name, owner, attribute in (
            ("write", checkpoints._Summing, "write"),
            ("fsync", os, "fsync"),
            ("rename", Path, "replace"),
            ("unlink", Path, "unlink"),
        ):
            patch.setattr(owner, attribute, _told(name, getattr(owner, attribute), before))
        yield


def _told(name: str, really: Callable[..., object], before: Callable[[str], None]) -> Callable[..., object]:
    def step(*arguments: object, **options: object) -> object:
        before(name)
        return really(*arguments, **options)

    return step


def state(value: float) -> checkpoints.State:
    return {
        "state_dict": {"w": torch.full((300,), value)},
        "epoch": int(value),
        "lr_schedulers": [{"a": 1.5}],
    }


def save(folder: Path, value: int) -> None:
    checkpoints.save(state(value), folder / name_of(value))
    checkpoints.prune(folder)


def steps_of_a_save(folder: Path) -> list[str]:
    steps: list[str] = []
    for value in (1, 2):
        save(folder, value)
    with watched(steps.append):
        save(folder, 3)
    return steps


def test_two_are_kept_and_read_back(tmp_path: Path) -> None:
    for value in range(1, 5):
        save(tmp_path, value)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "epoch-0003.ckpt", "epoch-0003.ckpt.sha256", "epoch-0004.ckpt", "epoch-0004.ckpt.sha256",
    ]  # fmt: skip
    assert newest(tmp_path) == tmp_path / "epoch-0004.ckpt"
    read = checkpoints.read(tmp_path / "last.ckpt")
    assert torch.equal(read["state_dict"]["w"], torch.full((300,), 4.0))
    assert (read["epoch"], read["lr_schedulers"]) == (4, [{"a": 1.5}])


def test_the_checksum_is_that_of_the_file(tmp_path: Path) -> None:
    save(tmp_path, 1)
    done = subprocess.run(["sha256sum", "-c", "epoch-0001.ckpt.sha256"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_content_is_on_the_disk_before_its_name_and_old_ones_go_last(tmp_path: Path) -> None:
    """For a power cut: fsync of the file, rename, fsync of the folder; then the same for the mark."""
    steps = [step for step in steps_of_a_save(tmp_path) if step != "write"]
    saved = ["fsync", "rename", "fsync"]
    assert steps[:1] == ["unlink"], "a mark of the same name from before"
    assert steps[1:7] == saved + saved
    assert set(steps[7:-1]) == {"unlink"} and steps[-1] == "fsync"


def test_a_disk_that_refuses_at_any_operation_leaves_a_good_checkpoint(tmp_path: Path) -> None:
    counting = tmp_path / "count"
    counting.mkdir()
    steps = steps_of_a_save(counting)
    assert set(steps) == set(STEPS)
    for moment in range(len(steps)):
        folder = tmp_path / str(moment)
        folder.mkdir()
        for value in (1, 2):
            save(folder, value)
        left = moment

        def refuse(step: str) -> None:
            nonlocal left
            left -= 1
            # Removing works on a full disk: what is half-written can always be cleared away.
            if left < 0 and step != "unlink":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        io = keeping.WholeCheckpoints()
        if any(step != "unlink" for step in steps[moment:]):
            with watched(refuse), pytest.raises((StorageError, OSError)) as caught:
                io.save_checkpoint(state(3), folder / name_of(3))
                with disk.telling():
                    checkpoints.prune(folder)
            assert "is full" in str(caught.value)
        assert not list(folder.glob("*.new")), moment
        good = checkpoints.last_good(folder, pytest.fail)
        assert good is not None and checkpoints.read(good)["epoch"] in (2, 3)
        save(folder, 3)  # there is space again
        assert [file.name for file in whole(folder)] == ["epoch-0002.ckpt", "epoch-0003.ckpt"]


@pytest.mark.parametrize("harm", ["cut", "flip", "empty", "gone"])
def test_a_broken_newest_one_falls_back_to_the_one_before(tmp_path: Path, harm: str) -> None:
    for value in (1, 2):
        save(tmp_path, value)
    broken = tmp_path / name_of(2)
    content = bytearray(broken.read_bytes())
    content[len(content) // 2] ^= 1
    if harm == "gone":
        broken.unlink()
    else:
        broken.write_bytes({"cut": bytes(content[:-40]), "flip": bytes(content), "empty": b""}[harm])
    said: list[str] = []
    found = checkpoints.last_good(tmp_path, said.append)
    assert found == tmp_path / name_of(1)
    assert newest(tmp_path) == found, "nobody takes the broken one for the newest again"
    if harm != "gone":
        assert len(said) == 1 and "epoch-0002.ckpt is refused" in said[0] and "from epoch 1" in said[0]


def test_where_none_is_good_a_run_begins_anew(tmp_path: Path) -> None:
    assert checkpoints.last_good(tmp_path, pytest.fail) is None
    with pytest.raises(NotFoundError):
        checkpoints.read(tmp_path / "last.ckpt")
    save(tmp_path, 1)
    (tmp_path / name_of(1)).write_bytes(b"nothing")
    said: list[str] = []
    assert checkpoints.last_good(tmp_path, said.append) is None
    assert "from the beginning" in said[0]


class Hostile:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.mark),))


def test_code_in_a_checkpoint_is_refused_and_does_not_run(tiny_config: Build, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    run = RunFolder(tmp_path / "run")
    folder = run.path / "checkpoints"
    hostile = {"state_dict": {}, "epoch": 0, "callbacks": Hostile(ran)}
    torch.save(hostile, folder / name_of(1))
    with pytest.raises(UnreadableError, match="other things than numbers"):
        load_state(folder / name_of(1))
    # A right checksum beside it changes nothing: it is refused for what it is, and the run begins anew.
    checkpoints.save(hostile, folder / name_of(1))
    one = tiny_config(stages=(Stage(size=32, epochs=1),))
    with pytest.raises(UnreadableError):
        fit(one, RunFolder(tmp_path / "other"), start=folder / name_of(1))
    fit(one, run, resume=True)
    assert "epoch-0001.ckpt is refused" in (run.path / "log.txt").read_text()
    assert checkpoints.read(run.checkpoint)["state_dict"]
    assert not ran.exists()


def test_space_is_asked_for_before_the_first_step(
    tiny_config: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "free_bytes", lambda _: 5 << 20)
    run = RunFolder(tmp_path / "run")
    with pytest.raises(StorageError, match=r"needs about \d+ MB for its checkpoints, and 5 MB are free"):
        fit(tiny_config(), run)
    assert not (run.path / "metrics.csv").exists()
    monkeypatch.setattr(keeping, "MARGIN", 0)
    refuse_without_space(tmp_path, 5 << 20 >> 2)
    with pytest.raises(StorageError):
        refuse_without_space(tmp_path, 5 << 20 >> 1)


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
import torch
torch.set_num_threads(1)
from cxrviewer.training import checkpoints
from cxrviewer.training.config import load_config
from cxrviewer.training.fit import fit
from cxrviewer.training.run_folder import RunFolder
from test_checkpointing import watched

work = Path(sys.argv[3])
moments = int(sys.argv[4])
config = load_config(work / "config.json")
unbroken = RunFolder(work / "unbroken")

class Stop(Exception): ...

def stop(share, words):
    if words.startswith("epoch 3"):
        raise Stop

steps = []
begun = RunFolder(work / "begun")
try:
    fit(config, begun, tell=stop)
except Stop:
    pass
shutil.copytree(begun.path, unbroken.path, dirs_exist_ok=True)
really = checkpoints.save
def counted(state, path):
    with watched(steps.append):
        really(state, path)
checkpoints.save = counted
fit(config, unbroken, resume=True)
wanted = checkpoints.read(unbroken.checkpoint)["state_dict"]
total = len(steps)
chosen = sorted({round(k * (total - 1) / (moments - 1)) for k in range(moments)})
resumed_from = []
for moment in chosen:
    run = RunFolder(work / f"run-{moment}")
    shutil.copytree(begun.path, run.path, dirs_exist_ok=True)
    child = os.fork()
    if child == 0:
        left = moment
        def die(step):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        def killed(state, path):
            with watched(die):
                really(state, path)
        checkpoints.save = killed
        fit(config, run, resume=True)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, (moment, status)
    checkpoints.save = really
    resumed_from.append(checkpoints.last_good(run.path / "checkpoints", print).name)
    fit(config, run, resume=True)
    found = checkpoints.read(run.checkpoint)["state_dict"]
    assert found.keys() == wanted.keys()
    for name, tensor in wanted.items():
        assert torch.equal(tensor, found[name]), (moment, name)
    rows = (run.path / "metrics.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["epoch", "0", "1", "2"], rows
    assert not list(run.path.glob("**/*.new"))
    shutil.rmtree(run.path)
print(len(chosen), total, len(set(resumed_from)))
"""


@pytest.fixture
def in_memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: hundreds of fsyncs are quick there, and the order is the same."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes, and this system has no fork")
def test_killed_at_fifty_moments_of_a_save_it_ends_with_the_same_weights(
    tiny_config: Build, kermany_folder: Path, in_memory: Path
) -> None:
    few = in_memory / "data"
    for kind, names in (("NORMAL", "IM-000*"), ("PNEUMONIA", "person[0-9]_*")):
        (few / "train" / kind).mkdir(parents=True)
        for file in (kermany_folder / "train" / kind).glob(names):
            shutil.copy(file, few / "train" / kind)
    config = tiny_config(
        sources=(Source(name="kermany", root=str(few), tune=0.2, report=0.2),),
        stages=(Stage(size=32, epochs=3),),
        batch_size=4,
    )
    (in_memory / "config.json").write_text(config.model_dump_json())
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "ignore",
            "-c",
            KILLED,
            str(root),
            str(Path(__file__).parent),
            str(in_memory),
            "50",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    moments, total, _ = map(int, done.stdout.split()[-3:])
    assert moments == 50 <= total
