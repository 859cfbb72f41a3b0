"""Work that goes on while a page is drawn again and again: asked for by key, computed once, watched from anywhere.

Plain threads; no screen library. A lane is a queue with one worker, so that what must not run twice at a time does
not: gradients share one network and its memory.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from enum import StrEnum
from queue import SimpleQueue
from typing import Generic, TypeVar

from cxrviewer.errors import CancelledError, CxrError
from cxrviewer.logs import get_logger
from cxrviewer.reading.values import Failure

T = TypeVar("T")
Progress = Callable[[float], None]
Cancelled = Callable[[], bool]
Work = Callable[[Progress, Cancelled], T]
"""Computes; tells the share done in [0, 1]; raises CancelledError soon after it is no longer wanted."""

KEPT = 256
"""Finished jobs that are remembered."""


class JobState(StrEnum):
    """Where a job stands. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)


class Job(Generic[T]):
    """One piece of work. `result` is set once `state` is done, `failure` once it is failed."""

    def __init__(self, key: Hashable, work: Work[T]) -> None:
        self.key = key
        self.state = JobState.QUEUED
        self.progress = 0.0
        self.result: T | None = None
        self.failure: Failure | None = None
        self.owners: set[str] = set()
        self._work: Work[T] | None = work
        self._unwanted = threading.Event()
        self._finished = threading.Event()

    @property
    def finished(self) -> bool:
        """True once nothing more will change."""
        return self._finished.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the end, at most `timeout` seconds; True where it has come."""
        return self._finished.wait(timeout)

    def cancel(self) -> None:
        """Ask the work to stop; it is cancelled at its next step, and at once where it has not begun."""
        self._unwanted.set()

    @property
    def unwanted(self) -> bool:
        """True once somebody has asked it to stop."""
        return self._unwanted.is_set()

    def run(self) -> None:
        """Compute, in the calling thread. Nothing is raised."""
        work, self._work = self._work, None
        if work is None or self.unwanted:
            self._end(JobState.CANCELLED)
            return
        self.state = JobState.RUNNING
        try:
            self.result = work(self._tell, self._unwanted.is_set)
            self.progress = 1.0
            self._end(JobState.DONE)
        except CancelledError:
            self._end(JobState.CANCELLED)
        except Exception as error:  # noqa: BLE001 - a thread's boundary: an error that nobody catches is lost
            if not isinstance(error, CxrError):
                get_logger().error("job.failed", exc_info=error)
            self.failure = Failure.of(error)
            self._end(JobState.FAILED)

    def _tell(self, share: float) -> None:
        # Never backwards: a method may count its passes anew, and a bar that jumps back says nothing.
        self.progress = max(self.progress, min(share, 1.0))

    def _end(self, state: JobState) -> None:
        self.state = state
        self._finished.set()


class Jobs(Generic[T]):
    """Jobs by key, one worker a lane. The same key is never computed twice while its result is remembered."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._lock = threading.Lock()
        self._jobs: OrderedDict[Hashable, Job[T]] = OrderedDict()
        self._lanes: dict[str, SimpleQueue[Job[T]]] = {}

    def submit(self, key: Hashable, work: Work[T], *, lane: str = "", owner: str = "") -> Job[T]:
        """The job of this key: the one there is, or a new one. A cancelled one starts anew, a failed one does not.

        owner: who wants it (a session). Several may; it goes on until the last has cancelled.
        """
        with self._lock:
            job = self._jobs.get(key)
            if job is None or job.unwanted:
                job = self._jobs[key] = Job(key, work)
                self._queue(lane).put(job)
            job.owners.add(owner)
            self._jobs.move_to_end(key)
            self._forget_oldest()
            return job

    def get(self, key: Hashable) -> Job[T] | None:
        """The job of this key, if there is one."""
        with self._lock:
            return self._jobs.get(key)

    def cancel(self, key: Hashable, owner: str = "") -> None:
        """Say that `owner` no longer wants it; without any owner left it stops."""
        with self._lock:
            job = self._jobs.get(key)
            if job is not None:
                self._release(job, owner)

    def cancel_others(self, owner: str, keep: set[Hashable]) -> None:
        """Say that `owner` wants nothing but these keys: another finding has been chosen."""
        with self._lock:
            for key, job in self._jobs.items():
                if key not in keep and owner in job.owners:
                    self._release(job, owner)

    def retry(self, key: Hashable) -> None:
        """Forget a failed job, so that it can be submitted again."""
        with self._lock:
            job = self._jobs.get(key)
            if job is not None and job.state is JobState.FAILED:
                del self._jobs[key]

    def _release(self, job: Job[T], owner: str) -> None:
        job.owners.discard(owner)
        if not job.owners and not job.finished:
            job.cancel()

    def _forget_oldest(self) -> None:
        finished = [key for key, job in self._jobs.items() if job.finished]
        for key in finished[: max(0, len(self._jobs) - self._kept)]:
            del self._jobs[key]

    def _queue(self, lane: str) -> SimpleQueue[Job[T]]:
        if lane not in self._lanes:
            self._lanes[lane] = SimpleQueue()
            # A daemon: leaving the program must not wait for a map.
            threading.Thread(
                target=_work_off, args=(self._lanes[lane],), name=f"jobs-{lane}", daemon=True
            ).start()
        return self._lanes[lane]


def _work_off(queue: SimpleQueue[Job[T]]) -> None:
    while True:
        queue.get().run()
