"""Tables of a page: dense grids whose numbers stand under each other. A grid draws on a canvas: no text is markup."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.elements.lib.column_types import ColumnConfig

LONG = 20
"""Lines that a table may have before it scrolls."""
_LONG_TEXT = 60
_ROW = 31
_NUMBER = re.compile(r"[<>+−-]?\d[\d,]*(\.\d+)?( %)?")
_NOTHING = ("", "–", None)


def show_table(
    columns: Mapping[str, Sequence[Any]], *, lines: int = LONG, key: str | None = None, alt: str | None = None
) -> None:
    """Draw it at its own height, or with so many `lines` where it has more. Columns of numbers stand at the right."""
    # As wide as it needs: numbers stand below their titles. Long texts may take the whole line.
    width: Any = "stretch" if any(_long(values) for values in columns.values()) else "content"
    rows = max((len(values) for values in columns.values()), default=0)
    height: Any = "content" if rows <= lines else _ROW * (lines + 1) + _ROW // 2
    st.dataframe(
        dict(columns), width=width, height=height, hide_index=True, key=key, alt=alt,
        column_config={name: _at_the_right(values) for name, values in columns.items() if is_numbers(values)},
    )  # fmt: skip


def is_numbers(values: Sequence[Any]) -> bool:
    """True where every cell is a number, written or not, or a dash; and not all of them are dashes."""
    stated = [value for value in values if value not in _NOTHING]
    return bool(stated) and all(
        isinstance(value, int | float) or _NUMBER.fullmatch(str(value)) is not None for value in stated
    )


def _at_the_right(values: Sequence[Any]) -> ColumnConfig:
    if all(isinstance(value, int) for value in values):
        return st.column_config.NumberColumn(format="localized")
    return st.column_config.Column(alignment="right")


def _long(values: Sequence[Any]) -> bool:
    return any(len(str(value)) > _LONG_TEXT for value in values)
