"""Numbers and labels as a report writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxrviewer.labels import Head, plain


def number(value: Any, digits: int = 2) -> str:
    """`0.93`; whole numbers as they are; a dash for none."""
    if value is None:
        return "–"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)


def with_ends(found: Mapping[str, Any], name: str) -> str:
    """`0.93 (0.91 to 0.95)`, from a value and its `_ci95`."""
    value, ends = found.get(name), found.get(f"{name}_ci95")
    if value is None or not ends:
        return number(value)
    return f"{value:.2f} ({ends[0]:.2f} to {ends[1]:.2f})"


def label_name(name: str) -> str:
    """The binary head's `pneumonia` and the finding `Pneumonia` are told apart."""
    return f"{plain(name)} (finding)" if name == "Pneumonia" else plain(name)


def head_name(head: Head) -> str:
    """How a head is called in a sentence."""
    return "pneumonia answer" if head is Head.PNEUMONIA else "findings"
