"""The training runs' page in parts: the list, and one run while it runs."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cxrviewer.training.queueing import tick
from cxrviewer.training.run_listing import RunStatus, list_runs, log_tail, read_status
from cxrviewer.ui import run_charts, run_controls, shell
from cxrviewer.ui.room import RoomState
from cxrviewer.ui.rows import Cell, Column, Kind, Row, show_rows
from cxrviewer.ui.runs import LIVE, curves, duration, pace_words, remaining

_POLL = 3.0
_COLUMNS = (
    Column("minmax(140px, 1fr)", "Run"),
    Column("80px", "State"),
    Column("minmax(120px, 0.8fr)", "Progress"),
    Column("40px", "", "right"),
    Column("minmax(160px, 1.4fr)", "At"),
    Column("110px", "Pictures a second", "right"),
    Column("90px", "To go", "right"),
)
_LISTED = 8
"""Runs that are shown at once; the newest first."""


def choose_run(folder: Path, room: RoomState) -> RunStatus | None:
    """The list, drawn anew by itself while one of them is at work; the chosen run, or None where there is none."""
    tick(folder)
    runs = list_runs(folder)
    if not runs:
        shell.note("There is no training run yet.", "Choose a data set and a recipe, and start one.")
        with st.container(horizontal=True):
            st.page_link(
                "pages/training/launch.py", label="Go to the launch page", icon=":material/arrow_forward:"
            )
        return None
    live = any(run.state in LIVE for run in runs)
    st.fragment(_list, run_every=_POLL if live else None)(folder, room, _states(runs))
    return next((run for run in runs if run.id == room.run), runs[0])


def _states(runs: tuple[RunStatus, ...]) -> dict[str, str]:
    return {run.id: run.state for run in runs}


def _list(folder: Path, room: RoomState, drawn: dict[str, str]) -> None:
    tick(folder)
    runs = list_runs(folder)
    if not runs or _states(runs) != drawn:
        # A run has begun, ended or gone: what stands below the list is another.
        st.rerun()
    chosen = next((run.id for run in runs if run.id == room.run), runs[0].id)
    shown = runs if room.all_runs else _first(runs, chosen)
    clicked = show_rows("Training runs", _COLUMNS, [_row(run, chosen) for run in shown], key="run-list")
    if len(runs) > len(shown) and st.button(f"Show all {len(runs)}", type="tertiary"):
        room.all_runs = True
        st.rerun(scope="fragment")
    if clicked and clicked != chosen:
        room.run = clicked
        st.rerun()


def _first(runs: tuple[RunStatus, ...], chosen: str) -> list[RunStatus]:
    """The newest ones, and the chosen one wherever it stands."""
    return [run for place, run in enumerate(runs) if place < _LISTED or run.id == chosen]


def _row(run: RunStatus, chosen: str) -> Row:
    seconds = remaining(run)
    rate = run.images_per_second if run.state == "running" else None
    return Row(
        run.id,
        f"Show the run {run.id}",
        (
            Cell(run.id, title=run.id),
            Cell(run.state, quiet=run.state not in LIVE),
            Cell(f"{run.progress:.0%}", Kind.BAR, value=min(max(run.progress, 0.0), 1.0)),
            Cell(f"{run.progress:.0%}".replace("%", " %"), quiet=True),
            Cell(run.message or "–", title=run.message),
            Cell("–" if rate is None else f"{rate:.0f}"),
            Cell("–" if seconds is None else duration(seconds)),
        ),
        selected=run.id == chosen,
    )


def show_run(run: RunStatus, room: RoomState) -> None:
    """What can be done with it, then how it goes or went."""
    run_controls.show_controls(run, room)
    st.fragment(_live, run_every=_POLL if run.state in LIVE else None)(run)


def _live(drawn: RunStatus) -> None:
    run = read_status(drawn.path)
    if run is None or run.state != drawn.state:
        st.rerun()
    shell.quiet(pace_words(run))
    if run.state == "lost":
        shell.note(
            "This run has stopped telling how it is.",
            "Resume it: it goes on after its last whole epoch.",
            kind="caution",
        )
    elif run.state == "failed":
        shell.note("The run has failed.", run.message, kind="error")
    elif run.state == "cancelled":
        shell.note(run.message or "The run was stopped.", kind="caution")
    found = curves(run.path)
    run_charts.show_curves(run.id, found)
    if not found and run.state in LIVE:
        shell.quiet("The curves begin when the first epoch has ended.")
    if lines := log_tail(run.path):
        with st.expander("Log"):
            st.code("\n".join(lines), language=None)
