"""The viewport: panes of one radiograph that zoom, pan, rotate and flip together, with a shared cursor.

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
    js="\n".join((_HERE / name).read_text(encoding="utf-8") for name in ("geometry.js", "panes.js")),
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
    wait for. caption: lines below. tools: the buttons that rotate, flip and fit. All texts are shown as they are.
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
    tools: bool = False


@dataclass(frozen=True)
class Values:
    """What lies under the cursor: value = low + step * code, with codes (H, W) little-endian uint16 at `url`."""

    url: str
    low: float
    step: float


def show_panes(
    panes: Sequence[Pane],
    *,
    view: str,
    shape: tuple[int, int],
    spacing: PixelSpacing | None = None,
    height: str,
    key: str,
    values: Values | None = None,
    small: bool = False,
) -> None:
    """Draw panes side by side. Panes of one `view` are linked; shape: (H, W) in pixels; height: a CSS length.

    values: tells the value under the cursor. small: nothing but the picture and its caption, for thumbnails.
    """
    _COMPONENT(
        key=key,
        data={
            "view": view,
            "shape": list(shape),
            "aspect": spacing.row_mm / spacing.column_mm if spacing else 1.0,
            "ruler": _ruler(spacing),
            "height": height,
            "values": asdict(values) if values else None,
            "small": small,
            "panes": [asdict(pane) for pane in panes],
        },
    )


def _ruler(spacing: PixelSpacing | None) -> dict[str, Any] | None:
    """Millimetres a pixel along the columns, and where they are measured; none where that is not known."""
    if spacing is None or spacing.reference is SpacingReference.UNKNOWN:
        return None
    return {"mm": spacing.column_mm, "label": spacing.reference.value}
