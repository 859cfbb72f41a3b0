"""Dense rows: text, thumbnails and bars, where a whole row can be chosen with the mouse or the keyboard.

What a row holds may come from a file: it is handed over as data and set as text in the browser, so it can be no
markup of any kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import streamlit as st

_HERE = Path(__file__).parent
_COMPONENT = st.components.v2.component(
    "cxrviewer_rows",
    css=(_HERE / "rows.css").read_text(encoding="utf-8"),
    js=(_HERE / "rows.js").read_text(encoding="utf-8"),
)


class Kind(StrEnum):
    """What a cell shows."""

    TEXT = "text"
    IMAGE = "image"
    BAR = "bar"


@dataclass(frozen=True)
class Column:
    """width: a CSS grid width; align: left or right."""

    width: str
    title: str = ""
    align: str = "left"


@dataclass(frozen=True)
class Cell:
    """text: shown, or read aloud for a bar or an image. band: low, unsure, high.

    value, mark: of a bar, in [0, 1]; limits: where its bands begin. lines: how many lines `sub` may take.
    """

    text: str
    kind: Kind = Kind.TEXT
    sub: str = ""
    title: str = ""
    quiet: bool = False
    url: str = ""
    value: float = 0.0
    mark: float | None = None
    limits: tuple[float, ...] = ()
    band: str = ""
    lines: int = 1


@dataclass(frozen=True)
class Row:
    """One line. tip: shown while the mouse or the focus is on it; opens: it can be chosen."""

    id: str
    label: str
    cells: tuple[Cell, ...]
    tip: tuple[str, ...] = ()
    selected: bool = False
    large: bool = False
    opens: bool = True


def show_rows(label: str, columns: Sequence[Column], rows: Sequence[Row], *, key: str) -> str | None:
    """Draw the rows; the id of the one that was chosen just now, or None."""
    result = _COMPONENT(
        key=key,
        data={
            "label": label,
            "columns": [asdict(column) for column in columns],
            "rows": [asdict(row) for row in rows],
        },
        on_opened_change=partial(_opened, key),
    )
    # What was noted first: a run that the next click interrupts may never come this far.
    chosen = st.session_state.pop(_pending(key), None) or getattr(result, "opened", None)
    # The browser's word is not taken for it: only what was offered can be chosen.
    return chosen if isinstance(chosen, str) and any(row.id == chosen for row in rows) else None


def _opened(key: str) -> None:
    """Callback, run before the script: keep the choice until the rows are next drawn."""
    chosen = getattr(st.session_state.get(key), "opened", None)
    if chosen is not None:
        st.session_state[_pending(key)] = chosen


def _pending(key: str) -> str:
    return f"{key}.opened"
