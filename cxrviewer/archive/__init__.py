"""The study store. `Archive` is its one front door; the rest are the values that pass through it."""

from cxrviewer.archive.archive import Archive
from cxrviewer.archive.rows import (
    ExplanationKey,
    InstanceRow,
    Order,
    ResultSummary,
    StoredResult,
    StudyFilter,
    StudyPage,
    StudyRow,
)

__all__ = [
    "Archive",
    "ExplanationKey",
    "InstanceRow",
    "Order",
    "ResultSummary",
    "StoredResult",
    "StudyFilter",
    "StudyPage",
    "StudyRow",
]
