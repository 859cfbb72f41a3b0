"""What one session has on its screen. Everything else lives in the archive, so a closed browser loses nothing."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from cxrviewer.ui.importing import ImportJob

_KEY = "viewer_state"


@dataclass
class ViewerState:
    """One session's choices. Screens read and write it; nothing below `ui` knows it.

    study, digest, frame: what is open. finding: the target by name, or None before one is chosen.
    preset: a name of `pictures.presets`, or `custom`, which takes center and width (modality units).
    spread: the map whose spread over seeds was asked for (`spread.place`).
    point, prevalence: by which operating point, and at which share of pneumonia, scores are shown; "" and 0:
    the site's own.
    opacity: in [0, 1]; keep_top: percent of the map's pixels to show; colours: a name of `maps.COLOURS`.
    regions: of LIME, a name of `regions.REGIONS`.
    """

    study: str | None = None
    digest: str | None = None
    frame: int = 1
    finding: str | None = None
    preset: str = "file"
    center: float = 0.0
    width: float = 1.0
    invert: bool = False
    opacity: float = 0.55
    keep_top: int = 30
    colours: str = "magma"
    regions: str = "5 for, 5 against"
    spread: str | None = None
    point: str = ""
    prevalence: float = 0.0
    names_shown: bool = False
    text: str = ""
    show: str = "all"
    order: str = "newest"
    page: int = 1
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    uploader: int = 0
    job: ImportJob | None = None

    def open(self, study: str, digest: str) -> None:
        """Another study: its own window, its first frame, no finding and so no map."""
        self.study, self.digest, self.frame = study, digest, 1
        self.finding, self.preset, self.invert = None, "file", False
        for key in ("preset", "invert", "finding", "frame", "center", "width"):
            st.session_state.pop(widget_key(key), None)


def viewer_state() -> ViewerState:
    """This session's state, made at its first use."""
    state: ViewerState = st.session_state.setdefault(_KEY, ViewerState())
    return state


def widget_key(field: str) -> str:
    """The key of the widget that edits a field of the state."""
    return f"viewer.{field}"


def bind(field: str) -> str:
    """Key of a widget for one field, seeded from the state before the widget is drawn.

    With `on_change=keep(field)`: a start value read from the state that a widget writes would lose updates.
    """
    key = widget_key(field)
    if key not in st.session_state:
        st.session_state[key] = getattr(viewer_state(), field)
    return key


def keep(field: str) -> None:
    """Callback: copy the widget's value into the state, where it survives a change of page.

    A click that interrupts a redraw may find its widget's value gone (seen in Streamlit 1.67): then nothing changes.
    """
    if widget_key(field) in st.session_state:
        setattr(viewer_state(), field, st.session_state[widget_key(field)])
