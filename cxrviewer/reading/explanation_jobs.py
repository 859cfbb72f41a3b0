"""Explanations outside a screen's way: submitted by key, drawn when they are there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from cxrviewer.archive import ExplanationKey
from cxrviewer.classifiers.targets import Target
from cxrviewer.reading.jobs import Cancelled, Job, Jobs, Progress
from cxrviewer.reading.reader import Options, Reader
from cxrviewer.studies.radiograph import Radiograph

if TYPE_CHECKING:
    from cxrviewer.explainers.explainer import Explanation

GRADIENTS, FORWARD = "gradients", "forward"
_FORWARD_ONLY = frozenset({"gradcam", "lime"})
"""Methods that never borrow the torch network, so that they need not wait for one that does."""


class ExplanationJobs:
    """One queue for all sessions of a server. `owner` tells them apart, so that none stops another's work."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._jobs: Jobs[Explanation] = Jobs()

    def submit(
        self,
        radiograph: Radiograph,
        target: str | Target,
        method: str,
        options: Options | None = None,
        owner: str = "",
    ) -> Job[Explanation]:
        """The job of this map, started where there is none. Raises UnknownTargetError, ModelBundleError."""
        key = self._reader.key(radiograph, target, method, options)
        work = partial(_explain, self._reader, radiograph, key.target, method, dict(options or {}))
        lane = FORWARD if method in _FORWARD_ONLY else GRADIENTS
        return self._jobs.submit(key, work, lane=lane, owner=owner)

    def get(self, key: ExplanationKey) -> Job[Explanation] | None:
        """The job of this key, if there is one."""
        return self._jobs.get(key)

    def known(
        self, radiograph: Radiograph, target: str | Target, method: str, options: Options | None = None
    ) -> bool:
        """True where this map is there or in the making, so that submitting it begins nothing."""
        key = self._reader.key(radiograph, target, method, options)
        job = self._jobs.get(key)
        if job is not None and not job.unwanted:
            return True
        archive = self._reader.archive
        return archive is not None and archive.explanation(key) is not None

    def cancel(self, key: ExplanationKey, owner: str = "") -> None:
        """`owner` no longer wants this map; it stops when nobody does."""
        self._jobs.cancel(key, owner)

    def keep_only(self, keys: set[ExplanationKey], owner: str = "") -> None:
        """`owner` wants these maps and no others: another finding has been chosen."""
        self._jobs.cancel_others(owner, set(keys))

    def retry(self, key: ExplanationKey) -> None:
        """Let a failed map be submitted again."""
        self._jobs.retry(key)


def _explain(
    reader: Reader,
    radiograph: Radiograph,
    target: Target,
    method: str,
    options: Options,
    progress: Progress,
    cancelled: Cancelled,
) -> Explanation:
    return reader.explain(radiograph, target, method, options, progress, cancelled)
