"""Numbers and labels as a report writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrviewer.labels import Head, plain


def number(value: Any, digits: int = 2) -> str:
    """`0.93`; whole numbers as they are; a dash for none. What is less than 1 is never written as 1.00."""
    if value is None:
        return "–"
    if not isinstance(value, float):
        return str(value)
    text = f"{value:.{digits}f}"
    return number(value, digits + 1) if value < 1 and float(text) == 1 and digits < 4 else text


def with_ends(found: Mapping[str, Any], name: str) -> str:
    """`0.93 (0.91 to 0.95)`, from a value and its `_ci95`."""
    value, ends = found.get(name), found.get(f"{name}_ci95")
    if value is None or not ends:
        return number(value)
    return f"{number(value)} ({number(ends[0])} to {number(ends[1])})"


def label_name(name: str) -> str:
    """The binary head's `pneumonia` and the finding `Pneumonia` are told apart."""
    return f"{plain(name)} (finding)" if name == "Pneumonia" else plain(name)


def metric_title(name: str) -> str:
    """A column of `metrics.csv` as people read it: `pneumonia, AUROC on tune`."""
    if name in _METRICS:
        return _METRICS[name]
    words = name.removeprefix("tune_").replace("_", " ").replace("auroc", "AUROC")
    return f"{words} on tune" if name.startswith("tune_") else words


_METRICS = {
    "loss": "loss on train",
    "tune_pneumonia_auroc": "pneumonia, AUROC on tune",
    "tune_findings_auroc": "findings, mean AUROC on tune",
    "tune_auroc": "mean of the heads, AUROC on tune",
    "learning_rate": "learning rate",
}


def head_name(head: Head) -> str:
    """How a head is called in a sentence."""
    return "pneumonia answer" if head is Head.PNEUMONIA else "findings"
