"""The viewport: panes of one radiograph that zoom and pan together.

Panes that name the same `view` are linked, wherever on the page they stand, and keep their zoom over redraws.
`st.plotly_chart` cannot do that: in Streamlit 1.67 the figure is part of the element's identity, so every new
window, map or opacity builds the chart anew and loses the zoom (measured).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from cxrviewer.studies.radiograph import PixelSpacing, SpacingReference

_HERE = Path(__file__).parent
_COMPONENT = st.components.v2.component(
    "cxrviewer_panes",
    css=(_HERE / "panes.css").read_text(encoding="utf-8"),
    js=(_HERE / "panes.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Legend:
    """A colour scale: CSS colours from the lowest to the highest value, and the numbers below it."""

    colours: tuple[str, ...]
    numbers: tuple[str, ...]


@dataclass(frozen=True)
class Pane:
    """One picture of the radiograph. `picture` and `overlay` are addresses; an empty overlay is none.

    progress: in [0, 1] while something is being computed, with what `waiting` says; None when there is nothing to
    wait for. caption: lines below. All texts are shown as they are.
    """

    id: str
    title: str
    picture: str
    alt: str
    overlay: str = ""
    opacity: float = 1.0
    progress: float | None = None
    waiting: str = ""
    caption: tuple[str, ...] = ()
    legend: Legend | None = None
    hint: str = ""


def show_panes(
    panes: Sequence[Pane],
    *,
    view: str,
    shape: tuple[int, int],
    spacing: PixelSpacing | None = None,
    height: str,
    key: str,
) -> None:
    """Draw panes side by side. Panes of one `view` are linked; shape: (H, W) in pixels; height: a CSS length."""
    _COMPONENT(
        key=key,
        data={
            "view": view,
            "shape": list(shape),
            "aspect": spacing.row_mm / spacing.column_mm if spacing else 1.0,
            "ruler": _ruler(spacing),
            "height": height,
            "panes": [asdict(pane) for pane in panes],
        },
    )


def _ruler(spacing: PixelSpacing | None) -> dict[str, Any] | None:
    """Millimetres a pixel along the columns, and where they are measured; none where that is not known."""
    if spacing is None or spacing.reference is SpacingReference.UNKNOWN:
        return None
    return {"mm": spacing.column_mm, "label": spacing.reference.value}
