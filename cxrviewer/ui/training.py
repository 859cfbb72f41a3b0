"""The training runs' page in parts: the list, and one run with its curves."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cxrviewer.training.run_listing import RunStatus, list_runs
from cxrviewer.ui import shell
from cxrviewer.ui.charts import show_lines
from cxrviewer.ui.rows import Cell, Column, Kind, Row, show_rows
from cxrviewer.ui.runs import LIVE, curves, duration, log_tail, remaining

_POLL = 3.0
_COLUMNS = (
    Column("minmax(140px, 1fr)", "Run"),
    Column("90px", "State"),
    Column("minmax(120px, 1fr)", "Progress"),
    Column("minmax(120px, 1fr)", "At"),
    Column("110px", "To go", "right"),
)
_TITLES = {
    "loss": "loss",
    "tune_pneumonia_auroc": "pneumonia AUROC, tune part",
    "tune_findings_auroc": "findings, mean AUROC, tune part",
}


def show_runs(folder: Path) -> None:
    """The list and the chosen run; drawn anew by itself while one of them is running."""
    live = any(run.state in LIVE for run in list_runs(folder))
    st.fragment(_draw, run_every=_POLL if live else None)(folder)


def _draw(folder: Path) -> None:
    runs = list_runs(folder)
    if not runs:
        shell.note(
            "There is no training run yet.",
            "Start one at the command line: python -m cxrviewer train --config FILE",
        )
        return
    chosen = st.session_state.get("run") or runs[0].id
    clicked = show_rows("Training runs", _COLUMNS, [_row(run, chosen) for run in runs], key="run-list")
    if clicked and clicked != chosen:
        st.session_state["run"] = clicked
        st.rerun(scope="fragment")
    run = next((run for run in runs if run.id == chosen), runs[0])
    _show(run)


def _row(run: RunStatus, chosen: str) -> Row:
    seconds = remaining(run)
    to_go = "–" if seconds is None else duration(seconds)
    return Row(
        run.id,
        f"Show the run {run.id}",
        (
            Cell(run.id),
            Cell(run.state),
            Cell(f"{run.progress:.0%}", Kind.BAR, value=min(max(run.progress, 0.0), 1.0)),
            Cell(run.message or "–", title=run.message),
            Cell(to_go),
        ),
        selected=run.id == chosen,
    )


def _show(run: RunStatus) -> None:
    shell.heading(run.id)
    if run.state == "lost":
        shell.note(
            "This run has stopped telling how it is.",
            "Take it up again at the command line: train with the same --config and --run-dir, and --resume.",
            kind="caution",
        )
    found = {curve.name: curve for curve in curves(run.path)}
    rates = [(_TITLES.get(n, n), c.epochs, c.values) for n, c in found.items() if "loss" not in n]
    losses = [(_TITLES.get(n, n), c.epochs, c.values) for n, c in found.items() if "loss" in n]
    left, right = st.columns(2)
    with left:
        if rates:
            show_lines(rates, x="epoch", y="AUROC", key=f"rates-{run.id}")
    with right:
        if losses:
            show_lines(losses, x="epoch", y="loss", key=f"losses-{run.id}")
    if not found:
        shell.quiet("No epoch has ended yet.")
    if lines := log_tail(run.path):
        with st.expander("Log"):
            st.code("\n".join(lines), language=None)
