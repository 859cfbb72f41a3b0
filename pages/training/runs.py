"""Training runs: state, curves and log while they run, a report when they have finished, several on one chart."""

from __future__ import annotations

import streamlit as st

from cxrviewer.settings import get_settings
from cxrviewer.training.run_listing import list_runs
from cxrviewer.ui import run_charts, run_report, shell, training
from cxrviewer.ui.room import room_state

with shell.screen():
    room = room_state()
    folder = get_settings().runs_dir
    run = training.choose_run(folder, room)
    if run is not None:
        view = st.segmented_control(
            "Show", ["One run", "Compare"], default="One run", key="runs-view", label_visibility="collapsed"
        )
        if view == "Compare":
            run_charts.compare(list_runs(folder), room)
        else:
            training.show_run(run, room)
            if run.state == "finished":
                run_report.report_or_reason(run)
