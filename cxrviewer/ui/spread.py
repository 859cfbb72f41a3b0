"""How far LIME's weights move with the seed: measured on request, since it repeats the whole method."""

from __future__ import annotations

from typing import TYPE_CHECKING

import streamlit as st

from cxrviewer.reading import Job
from cxrviewer.studies.radiograph import Radiograph
from cxrviewer.ui import resources, shell
from cxrviewer.ui.runs import duration
from cxrviewer.ui.state import ViewerState, viewer_state

if TYPE_CHECKING:
    from cxrviewer.explainers.explainer import Explanation

SEEDS = 4
"""Seeds beyond the first."""
OPTIONS = {"spread_seeds": SEEDS}
METHOD = "lime"
_HELP = (
    f"Repeats LIME with {SEEDS} further seeds. The spread is the standard deviation of the regions' weights over all "
    f"{SEEDS + 1}, as a share of the largest mean weight: 0 means that chance played no part."
)


def place(radiograph: Radiograph, finding: str) -> str:
    """What the state remembers of a request."""
    return f"{radiograph.digest}-{radiograph.frame}-{finding}"


def job_of(radiograph: Radiograph, state: ViewerState) -> Job[Explanation] | None:
    """The measurement of the chosen finding where it was asked for or is known; another finding ends the request."""
    if state.finding is None:
        return None
    if state.spread != place(radiograph, state.finding):
        state.spread = None
    jobs = resources.explanations()
    if state.spread is None and not jobs.known(radiograph, state.finding, METHOD, OPTIONS):
        return None
    return jobs.submit(radiograph, state.finding, METHOD, OPTIONS, owner=state.owner)


def line(job: Job[Explanation] | None) -> str:
    """What stands beside the other numbers of LIME; empty where nothing is known."""
    if job is None or job.result is None:
        return ""
    return f"spread {float(job.result.admits['spread']):.2f} over {SEEDS + 1} seeds"


def control(radiograph: Radiograph, lime: Job[Explanation], job: Job[Explanation] | None) -> None:
    """The button that asks, the progress with the one that stops, or why it failed."""
    state = viewer_state()
    if state.finding is None or lime.result is None or (job is not None and job.result is not None):
        return
    if job is None:
        time = duration(max(1, lime.result.seconds * (SEEDS + 1)))
        if st.button(f"Measure spread over seeds (about {time})", type="tertiary", help=_HELP):
            state.spread = place(radiograph, state.finding)
            st.rerun()
    elif job.failure is not None:
        shell.note(job.failure.message, kind="error")
        if st.button("Try again", key="spread-again"):
            resources.explanations().retry(job.key)  # type: ignore[arg-type]
            st.rerun()
    else:
        share = round(100 * job.progress)
        st.progress(job.progress, text=f"Measuring the spread: {share} %")
        if st.button("Stop", key="spread-stop", help="Stop measuring the spread; the map stays."):
            state.spread = None
            resources.explanations().cancel(job.key, state.owner)  # type: ignore[arg-type]
            st.rerun()
