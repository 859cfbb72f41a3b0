"""What one session has on its screen in the training room, beside `state.ViewerState`."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

import streamlit as st

from cxrviewer.ui.forms import Form

_KEY = "room_state"


@dataclass
class RoomState:
    """One session's choices in the training room.

    dataset: a remembered name. adding: whether its form is open; changing: which one is in it, None for a new one.
    section: of the data set's page. seed: of the sample pictures. stopped: readings that this session has stopped.
    run: the chosen run; beside: runs on one chart with it. source, recipe: the forms of a data set and of the launch
    page.
    """

    dataset: str | None = None
    adding: bool = False
    changing: str | None = None
    section: str = "Overview"
    seed: int = 0
    stopped: set[object] = field(default_factory=set)
    run: str | None = None
    beside: tuple[str, ...] = ()
    all_runs: bool = False
    owner: str = field(default_factory=lambda: secrets.token_hex(8))
    source: Form = field(default_factory=lambda: Form("source"))
    recipe: Form = field(default_factory=lambda: Form("recipe"))


def room_state() -> RoomState:
    """This session's state, made at its first use."""
    state: RoomState = st.session_state.setdefault(_KEY, RoomState())
    return state
