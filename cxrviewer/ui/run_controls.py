"""What can be done with a run: stop, resume, take its recipe, delete. Each asks the run's own room."""

from __future__ import annotations

import json

import streamlit as st

from cxrviewer.training import runs
from cxrviewer.training.config import load_config
from cxrviewer.training.run_listing import RunStatus
from cxrviewer.ui import launching, shell
from cxrviewer.ui.room import RoomState

RESUMES = ("cancelled", "failed", "lost")
LAUNCH_PAGE = "pages/training/launch.py"


def show_controls(run: RunStatus, room: RoomState) -> None:
    """The run's name and its buttons, in one line."""
    with st.container(horizontal=True, vertical_alignment="center"):
        shell.heading(run.id, device_words(run.device))
        if run.state in ("queued", "running"):
            _stopping(run)
        if (
            run.state in RESUMES
            and not run.at_work
            and st.button("Resume", help="It goes on after its last whole epoch.")
        ):
            runs.resume(run.path)
            st.rerun()
        if st.button(
            "Use its recipe", help="Open the launch page with everything as it was chosen for this run."
        ):
            launching.take_over(room, json.loads(load_config(run.path / "config.json").model_dump_json()))
            st.switch_page(LAUNCH_PAGE)
        if not run.at_work:
            _deleting(run, room)


def device_words(device: str) -> str:
    """`on the CPU`, `on GPU 0`; empty where it is not known yet. What the run is at stands in the line below."""
    kind, _, number = device.partition(":")
    return "" if not kind else "on the CPU" if kind == "cpu" else f"on GPU {number or 0}"


def _stopping(run: RunStatus) -> None:
    """First after the present step; a run that was asked already can be ended at once."""
    asked = (run.path / "cancel").exists()
    if not asked:
        if st.button("Stop", help="After the present step. It can be resumed from its last whole epoch."):
            runs.cancel(run.path)
            st.rerun()
    elif st.button(
        "End it now", help="It was asked to stop and may be in a long step. What its last epoch saved stays."
    ):
        runs.cancel(run.path, hard=True)
        st.rerun()


def _deleting(run: RunStatus, room: RoomState) -> None:
    with st.popover("Delete", type="tertiary"):
        shell.note(
            "The run's folder goes, with its curves, checkpoints and model.",
            "A model that was taken into service is a copy and stays.",
            kind="caution",
        )
        if st.button("Delete this run", key=f"delete-{run.id}"):
            runs.delete(run.path)
            room.run = None
            st.rerun()
