"""Processes, the queue and what may be done with a run, with workers that do nothing but live."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cxrviewer.errors import ConfigurationError, NotFoundError, StorageError
from cxrviewer.training import queueing, runs
from cxrviewer.training.config import Source, TrainingConfig
from cxrviewer.training.launcher import LocalLauncher, environment, spare_threads
from cxrviewer.training.processes import Process, born_at, process_of, this_process
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.run_listing import list_runs, read_status
from cxrviewer.training.tickets import Ticket, read_ticket, write_ticket

SLEEPER = (sys.executable, "-S", "-c", "import time; time.sleep(300)")
STUBBORN = (
    sys.executable, "-S", "-c",
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "open(sys.argv[1] + '/ready', 'w').close(); time.sleep(300)",
)  # fmt: skip

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="runs in the background need Linux or macOS")


def recipe(id: str) -> TrainingConfig:
    return TrainingConfig(id=id, sources=(Source(name="kermany", root="nowhere"),))


def wait_for(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.02)
    return true()


def state(path: Path) -> str:
    return getattr(read_status(path), "state", "none")


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[LocalLauncher]:
    yield LocalLauncher(SLEEPER, grace=2)
    _end_all(tmp_path)


@pytest.fixture
def stubborn(tmp_path: Path) -> Iterator[LocalLauncher]:
    yield LocalLauncher(STUBBORN, grace=0.3)
    _end_all(tmp_path)


def _end_all(folder: Path) -> None:
    for file in folder.glob("**/status.json"):
        process = getattr(read_status(file.parent), "process", None)
        if process is not None and process.alive and process.pid != os.getpid():
            os.kill(process.pid, signal.SIGKILL)


# Whether a process is the one that was meant.


def test_a_process_is_known_by_its_number_and_its_start() -> None:
    me = this_process()
    assert me.alive and me.pid == os.getpid() and me.born == born_at(me.pid)
    assert not dataclasses.replace(me, born="1").alive, "the number is used again"
    assert not dataclasses.replace(me, host="another").alive, "another machine's number"
    assert born_at(2**22 + 1) is None and born_at(0) is None and born_at(-1) is None


def test_a_dead_process_is_dead_before_anybody_took_note() -> None:
    child = subprocess.Popen(SLEEPER)
    process = process_of(child.pid)
    assert process.alive
    os.kill(child.pid, signal.SIGKILL)
    assert wait_for(lambda: not process.alive), "a zombie is no run"
    child.wait()
    assert not process.alive
    assert process_of(child.pid).born == "" and not process_of(child.pid).alive


def forged(path: Path, process: Process, silent: float = 0.0) -> None:
    """A run that says it is running, by a process of our choice."""
    run = RunFolder(path)
    run.status("running", 0.5, "epoch 1", process)
    content = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps(content | {"heartbeat": content["heartbeat"] - silent}))


def test_a_used_again_number_is_lost_at_once_and_never_killed(tmp_path: Path) -> None:
    child = subprocess.Popen(SLEEPER, start_new_session=True)
    try:
        path = tmp_path / "run"
        real = process_of(child.pid)
        forged(path, real)
        assert state(path) == "running"
        forged(path, dataclasses.replace(real, born=str(int(real.born) - 1) if real.born.isdigit() else "x"))
        assert state(path) == "lost"
        with pytest.raises(ConfigurationError, match="not at work"):
            runs.cancel(path, hard=True)
        status = read_status(path)
        assert status is not None
        LocalLauncher(grace=0.1).cancel(status, hard=True)
        forged(path, dataclasses.replace(real, host="elsewhere"))
        assert state(path) == "running", "of another machine only its heartbeat is known"
        LocalLauncher(grace=0.1).cancel(read_status(path) or status, hard=True)
        assert child.poll() is None and real.alive
    finally:
        child.kill()
        child.wait()


def test_what_cannot_be_asked_for_is_lost_after_a_minute(tmp_path: Path) -> None:
    elsewhere = Process(1, "1", "elsewhere")
    forged(tmp_path / "run", elsewhere, silent=55)
    assert state(tmp_path / "run") == "running"
    forged(tmp_path / "run", elsewhere, silent=61)
    assert state(tmp_path / "run") == "lost"


def test_a_silent_process_still_guards_its_folder(tmp_path: Path) -> None:
    """Suspended for a while it may come back: nobody else takes its run up in the meantime."""
    child = subprocess.Popen(SLEEPER)
    try:
        forged(tmp_path / "run", process_of(child.pid), silent=90)
        assert state(tmp_path / "run") == "lost"
        with pytest.raises(ConfigurationError, match="still at work"):
            runs.delete(tmp_path / "run")
        with pytest.raises(ConfigurationError, match="still at work"):
            queueing.claim(RunFolder(tmp_path / "run"), "cpu")
    finally:
        child.kill()
        child.wait()


# The queue.


def test_one_run_at_a_time_on_each_device_in_order(tmp_path: Path, sleeper: LocalLauncher) -> None:
    for id, device in (("a", "cpu"), ("b", "cpu"), ("c", "cuda:0"), ("d", "cpu")):
        runs.submit(recipe(id), tmp_path, device, sleeper)
    assert [state(tmp_path / id) for id in "abcd"] == ["running", "queued", "running", "queued"]
    assert runs.tick(tmp_path, sleeper) == ()
    runs.cancel(tmp_path / "a", hard=True, launcher=sleeper)
    assert [state(tmp_path / id) for id in "abcd"] == ["cancelled", "running", "running", "queued"]
    b = read_status(tmp_path / "b")
    assert b is not None and b.process is not None
    os.kill(b.process.pid, signal.SIGKILL)
    assert wait_for(lambda: state(tmp_path / "b") == "lost", 5), "dead at once, not after a minute"
    assert [run.id for run in runs.tick(tmp_path, sleeper)] == ["d"]


def test_a_queued_run_waits_for_ever(tmp_path: Path) -> None:
    RunFolder(tmp_path / "run").status("queued", 0.0)
    status = read_status(tmp_path / "run", now=time.time() + 10**7)
    assert status is not None and status.state == "queued" and not status.at_work


RACER = """
import os, sys, time
from pathlib import Path
from cxrviewer.training import runs
from cxrviewer.training.launcher import LocalLauncher
folder, go = Path(sys.argv[1]), time.monotonic() + 0.2
launcher = LocalLauncher(tuple(sys.argv[2:]))
children = []
for _ in range(6):
    child = os.fork()
    if child == 0:
        while time.monotonic() < go:
            pass
        os._exit(sum(len(runs.tick(folder, launcher)) for _ in range(5)))
    children.append(child)
print(sum(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
"""


def test_processes_that_race_for_a_device_start_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    for id in ("a", "b", "c"):
        RunFolder(folder / id).write_config(recipe(id))
        write_ticket(folder / id, Ticket("cpu", 1.0, str(tmp_path)))
        RunFolder(folder / id).status("queued", 0.0)
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    done = subprocess.run(
        [sys.executable, "-c", RACER, str(folder), *SLEEPER], capture_output=True, env=environ, timeout=60
    )
    try:
        assert done.stdout == b"1\n", done.stderr[-500:]
        assert sorted(run.state for run in list_runs(folder)) == ["queued", "queued", "running"]
    finally:
        _end_all(folder)


def test_a_run_that_cannot_be_started_says_so_and_the_next_has_its_turn(
    tmp_path: Path, sleeper: LocalLauncher
) -> None:
    class Failing(LocalLauncher):
        def launch(self, run: Path) -> Process:
            if run.name == "a":
                raise OSError(28, "No space left on device")
            return sleeper.launch(run)

    assert runs.submit(recipe("a"), tmp_path, "cpu", Failing()).message.startswith("The disk")
    runs.submit(recipe("b"), tmp_path, "cpu", Failing())
    assert [state(tmp_path / id) for id in "ab"] == ["failed", "running"]


def test_the_foreground_takes_its_turn_too(tmp_path: Path, sleeper: LocalLauncher) -> None:
    runs.submit(recipe("a"), tmp_path, "cpu", sleeper)
    with pytest.raises(ConfigurationError, match="a is at work on cpu"):
        queueing.claim(RunFolder(tmp_path / "b"), "cpu")
    queueing.claim(RunFolder(tmp_path / "b"), "cuda:0")
    assert state(tmp_path / "b") == "running"


def test_a_cancel_that_comes_while_a_run_starts_is_kept(tmp_path: Path) -> None:
    class Here(LocalLauncher):
        def launch(self, run: Path) -> Process:
            return this_process()

    runs.submit(recipe("a"), tmp_path, "cpu", Here())
    runs.cancel(tmp_path / "a", launcher=Here())
    queueing.claim(RunFolder(tmp_path / "a"), "cpu")
    assert RunFolder(tmp_path / "a").cancel_requested()
    RunFolder(tmp_path / "a").status("cancelled", 0.0)
    queueing.claim(RunFolder(tmp_path / "a"), "cpu")
    assert not RunFolder(tmp_path / "a").cancel_requested(), "taken up again, it is forgotten"


# What may be done with a run.


def test_a_submission_is_whole_or_absent(
    tmp_path: Path, sleeper: LocalLauncher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runs, "write_ticket", full)
    with pytest.raises(StorageError, match="is full"):
        runs.submit(recipe("a"), tmp_path, "cpu", sleeper)
    assert [file.name for file in tmp_path.iterdir()] == [queueing.LOCK]
    monkeypatch.undo()
    runs.submit(recipe("a"), tmp_path, "cpu", sleeper)
    ticket = read_ticket(tmp_path / "a")
    assert (ticket.device, ticket.folder) == ("cpu", str(Path.cwd()))
    with pytest.raises(ConfigurationError, match="a run a already"):
        runs.submit(recipe("a"), tmp_path, "cpu", sleeper)


def test_no_run_is_taken_in_without_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "free_bytes", lambda _: 3 << 20)
    with pytest.raises(StorageError, match="Only 3 MB are free"):
        runs.submit(recipe("a"), tmp_path, "cpu")
    assert not (tmp_path / "a").exists()


def test_a_started_run_is_on_its_own(tmp_path: Path, sleeper: LocalLauncher) -> None:
    with (tmp_path / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        status = runs.submit(recipe("a"), tmp_path / "runs", "cpu", sleeper)
        assert status.process is not None
        pid = status.process.pid
        assert os.getsid(pid) == pid != os.getsid(0), "a session of its own: no terminal ends it"
        if sys.platform == "linux":
            opened = {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}
            assert opened == {"/dev/null", str(tmp_path / "runs" / "a" / "output.txt")}
    assert (tmp_path / "runs" / "a" / "output.txt").stat().st_mode & 0o777 == 0o600


def test_cancelling_gently_asks_and_hard_ends(tmp_path: Path, stubborn: LocalLauncher) -> None:
    path = tmp_path / "a"
    runs.submit(recipe("a"), tmp_path, "cpu", stubborn)
    assert wait_for(lambda: (path / "ready").exists())
    assert runs.cancel(path, launcher=stubborn).state == "running"
    assert RunFolder(path).cancel_requested()
    before = read_status(path)
    assert before is not None and stubborn.is_alive(before)
    ended = runs.cancel(path, hard=True, launcher=stubborn)
    assert ended.state == "cancelled" and "Resume" in ended.message
    assert ended.process == before.process and not stubborn.is_alive(before)
    assert "cancelled" in (path / "log.txt").read_text()


def test_resume_queues_again_and_forgets_the_cancel(tmp_path: Path, sleeper: LocalLauncher) -> None:
    path = tmp_path / "a"
    first = runs.submit(recipe("a"), tmp_path, "cuda:1", sleeper)
    with pytest.raises(ConfigurationError, match="still at work"):
        runs.resume(path, sleeper)
    runs.cancel(path, hard=True, launcher=sleeper)
    again = runs.resume(path, sleeper)
    assert (again.state, again.device) == ("running", "cuda:1") and again.submitted > first.submitted
    assert not RunFolder(path).cancel_requested()
    runs.cancel(path, hard=True, launcher=sleeper)
    RunFolder(path).status("finished", 1.0)
    with pytest.raises(ConfigurationError, match="is finished"):
        runs.resume(path, sleeper)
    with pytest.raises(NotFoundError):
        runs.resume(tmp_path / "absent", sleeper)


def test_delete_is_refused_at_work_and_leaves_nothing(tmp_path: Path, sleeper: LocalLauncher) -> None:
    path = tmp_path / "a"
    runs.submit(recipe("a"), tmp_path, "cpu", sleeper)
    with pytest.raises(ConfigurationError, match="Stop it first"):
        runs.delete(path)
    runs.cancel(path, hard=True, launcher=sleeper)
    runs.delete(path)
    assert [file.name for file in tmp_path.iterdir()] == [queueing.LOCK]
    with pytest.raises(NotFoundError):
        runs.delete(path)


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path: Path) -> None:
    RunFolder(tmp_path / "elsewhere").status("finished", 1.0)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "a").symlink_to(tmp_path / "elsewhere")
    runs.delete(tmp_path / "runs" / "a")
    assert (tmp_path / "elsewhere" / "status.json").is_file()
    assert list_runs(tmp_path / "runs") == ()


def test_a_clone_differs_in_its_id_alone(tmp_path: Path) -> None:
    RunFolder(tmp_path / "a").write_config(recipe("a"))
    assert runs.clone_config(tmp_path / "a", "b") == recipe("b")
    with pytest.raises(ConfigurationError, match="no id of a run"):
        runs.clone_config(tmp_path / "a", "../b")


@pytest.mark.parametrize(
    ("visible", "device", "seen"),
    [
        (None, "cpu", ""),
        (None, "cuda:1", "1"),
        ("4,6", "cuda:1", "6"),
        ("GPU-a, GPU-b", "cuda:0", "GPU-a"),
    ],
)
def test_a_run_sees_its_device_alone(visible: str | None, device: str, seen: str) -> None:
    before = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    made = environment(before, device)
    assert made["CUDA_VISIBLE_DEVICES"] == seen
    # It may start the next run, which is for another device.
    assert environment(made, "cuda:0")["CUDA_VISIBLE_DEVICES"] == (visible or "0").split(",")[0].strip()
    assert made["OMP_NUM_THREADS"] == str(spare_threads())
    assert environment({"OMP_NUM_THREADS": "7"}, device)["OMP_NUM_THREADS"] == "7"
