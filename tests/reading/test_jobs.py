"""Work beside the screen: once a key, one at a time in a lane, stopped only when nobody wants it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from cxrviewer.errors import CancelledError, UnknownTargetError
from cxrviewer.reading import ExplanationJobs, Jobs, JobState, Reader
from cxrviewer.reading.jobs import Cancelled, Progress

PATIENCE = 10.0
"""Seconds before a test gives up; nothing here takes more than a few milliseconds."""


class Gate:
    """Work that says when it has begun and goes on only when told to."""

    def __init__(self, answer: int = 1) -> None:
        self.answer = answer
        self.begun, self.go = threading.Event(), threading.Event()
        self.runs = 0

    def __call__(self, progress: Progress, cancelled: Cancelled) -> int:
        self.runs += 1
        progress(0.5)
        self.begun.set()
        while not self.go.wait(0.002):
            if cancelled():
                raise CancelledError("Stopped.")
        return self.answer


def quick(answer: int) -> Callable[[Progress, Cancelled], int]:
    return lambda _progress, _cancelled: answer


def test_a_job_goes_through_its_states() -> None:
    jobs, gate = Jobs[int](), Gate(7)
    job = jobs.submit("a", gate)
    assert gate.begun.wait(PATIENCE)
    assert (job.state, job.progress, job.result, job.finished) == (JobState.RUNNING, 0.5, None, False)
    gate.go.set()
    assert job.wait(PATIENCE)
    assert (job.state, job.progress, job.result) == (JobState.DONE, 1.0, 7)


def test_the_same_key_is_computed_once_whoever_asks_and_whenever() -> None:
    jobs, gate = Jobs[int](), Gate()
    first = jobs.submit("a", gate, owner="one")
    assert jobs.submit("a", gate, owner="two") is first
    gate.go.set()
    assert first.wait(PATIENCE)
    assert jobs.submit("a", gate, owner="three") is first
    assert gate.runs == 1


def test_many_threads_asking_at_once_still_compute_once() -> None:
    jobs, gate = Jobs[int](), Gate()
    together = threading.Barrier(8)
    found = []

    def ask() -> None:
        together.wait()
        found.append(jobs.submit("a", gate))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gate.go.set()
    assert found[0].wait(PATIENCE)
    assert len({id(job) for job in found}) == 1
    assert gate.runs == 1


def test_one_lane_runs_one_job_at_a_time_in_order_and_lanes_do_not_wait() -> None:
    jobs, first, second = Jobs[int](), Gate(), Gate()
    jobs.submit("a", first, lane="gradients")
    later = jobs.submit("b", second, lane="gradients")
    assert first.begun.wait(PATIENCE)
    assert later.state is JobState.QUEUED
    assert jobs.submit("c", quick(3), lane="forward").wait(PATIENCE)
    assert not second.begun.is_set()
    first.go.set()
    assert second.begun.wait(PATIENCE)
    second.go.set()


def test_it_stops_when_the_last_owner_cancels() -> None:
    jobs, gate = Jobs[int](), Gate()
    job = jobs.submit("a", gate, owner="one")
    jobs.submit("a", gate, owner="two")
    assert gate.begun.wait(PATIENCE)
    jobs.cancel("a", "one")
    jobs.cancel("a", "stranger")
    assert not job.unwanted
    jobs.cancel("a", "two")
    assert job.wait(PATIENCE)
    assert (job.state, job.result) == (JobState.CANCELLED, None)


def test_a_cancelled_job_that_waits_is_never_run_and_can_be_asked_for_again() -> None:
    jobs, blocking, waiting = Jobs[int](), Gate(), Gate()
    jobs.submit("block", blocking)
    job = jobs.submit("a", waiting, owner="one")
    jobs.cancel("a", "one")
    again = jobs.submit("a", quick(5), owner="one")
    assert again is not job
    blocking.go.set()
    assert again.wait(PATIENCE) and job.wait(PATIENCE)
    assert (job.state, again.state, again.result) == (JobState.CANCELLED, JobState.DONE, 5)
    assert waiting.runs == 0


def test_another_choice_cancels_what_only_this_owner_wanted() -> None:
    jobs, gate, shared, kept = Jobs[int](), Gate(), Gate(), Gate()
    mine = jobs.submit("mine", gate, owner="one")
    ours = jobs.submit("ours", shared, owner="one")
    jobs.submit("ours", shared, owner="two")
    stays = jobs.submit("stays", kept, owner="one")
    jobs.cancel_others("one", {"stays"})
    assert (mine.unwanted, ours.unwanted, stays.unwanted) == (True, False, False)
    for held in (gate, shared, kept):
        held.go.set()


def test_a_failure_is_told_calmly_and_not_repeated_until_asked() -> None:
    jobs, runs = Jobs[int](), []

    def fail(_progress: Progress, _cancelled: Cancelled) -> int:
        runs.append(1)
        raise RuntimeError("Doe^Jane")

    job = jobs.submit("a", fail)
    assert job.wait(PATIENCE)
    assert job.state is JobState.FAILED
    assert job.failure is not None
    assert job.failure.kind == "internal"
    assert "Doe" not in job.failure.message
    assert jobs.submit("a", fail) is job
    jobs.retry("a")
    assert jobs.submit("a", fail).wait(PATIENCE)
    assert len(runs) == 2


def test_the_worker_outlives_a_failure() -> None:
    jobs = Jobs[int]()

    def fail(_progress: Progress, _cancelled: Cancelled) -> int:
        raise MemoryError

    failed, after = jobs.submit("a", fail), jobs.submit("b", quick(2))
    assert after.wait(PATIENCE)
    assert after.result == 2
    assert failed.failure is not None
    assert "memory" in failed.failure.message


def test_progress_never_goes_back() -> None:
    jobs, seen = Jobs[int](), []

    def work(progress: Progress, _cancelled: Cancelled) -> int:
        for share in (0.2, 0.8, 0.3, 1.7):
            progress(share)
            seen.append(jobs.get("a").progress)  # type: ignore[union-attr]
        return 1

    assert jobs.submit("a", work).wait(PATIENCE)
    assert seen == [0.2, 0.8, 0.8, 1.0]


def test_the_oldest_finished_are_forgotten_and_running_ones_never() -> None:
    jobs, gate = Jobs[int](kept=3), Gate()
    running = jobs.submit("running", gate, lane="slow")
    for number in range(6):
        assert jobs.submit(number, quick(number)).wait(PATIENCE)
    assert jobs.get("running") is running
    assert jobs.get(0) is None
    assert jobs.get(5) is not None
    gate.go.set()


def test_explanations_are_submitted_by_what_decides_them(
    reader: Reader, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def explain(radiograph, target, method, options, progress, cancelled):  # type: ignore[no-untyped-def]
        asked.append((target.name, method, dict(options)))
        return "a map"

    monkeypatch.setattr(reader, "explain", explain)
    jobs, radiograph = ExplanationJobs(reader), reader.open(png)
    first = jobs.submit(radiograph, "Effusion", "lime", {"samples": 10}, owner="one")
    assert jobs.submit(radiograph, "effusion", "lime", {"samples": 10}, owner="two") is first
    other = jobs.submit(radiograph, "Effusion", "lime", {"samples": 20})
    assert first.wait(PATIENCE) and other.wait(PATIENCE)
    assert asked == [("Effusion", "lime", {"samples": 10}), ("Effusion", "lime", {"samples": 20})]
    assert jobs.get(reader.key(radiograph, "Effusion", "lime", {"samples": 10})) is first
    with pytest.raises(UnknownTargetError):
        jobs.submit(radiograph, "Eggplant", "lime")


def test_a_map_is_known_once_it_is_in_the_making_or_stored(
    reader: Reader, png: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    monkeypatch.setattr(reader, "explain", lambda *arguments: gate(*arguments[-2:]))
    jobs, radiograph = ExplanationJobs(reader), reader.open(png)
    question = (radiograph, "Effusion", "lime", {"samples": 10})
    assert not jobs.known(*question)
    job = jobs.submit(*question, owner="one")
    assert jobs.known(*question)
    jobs.cancel(job.key, "one")  # type: ignore[arg-type]
    assert not jobs.known(*question)
    gate.go.set()
