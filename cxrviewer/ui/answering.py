"""The right side of the viewer: the answer when it is there, and what is in its place when it is not."""

from __future__ import annotations

import streamlit as st

from cxrviewer.classifiers.prediction import Prediction
from cxrviewer.reading import Job
from cxrviewer.studies.radiograph import Radiograph
from cxrviewer.ui import findings, resources, shell, thresholds, words
from cxrviewer.ui.state import ViewerState

_POLL = 0.5


def answer(radiograph: Radiograph, state: ViewerState) -> Prediction | None:
    """Draw the panel; the prediction where it is known. The picture never waits for it."""
    for warning in radiograph.warnings:
        shell.note(warning, kind="caution")
    job = resources.prediction(radiograph)
    if not job.finished:
        st.fragment(_wait, run_every=_POLL)(job)
        return None
    if job.result is None:
        _failed(job, radiograph)
        return None
    if not job.result.scope.in_scope:
        shell.heading("Findings")
        findings.out_of_scope(job.result)
        return job.result
    prediction = thresholds.chosen(job.result, state)
    with st.container(key="findings-head", horizontal=True, vertical_alignment="center"):
        shell.heading("Findings", "in scope")
        thresholds.choose(job.result, state)
    findings.show_findings(prediction, state)
    return prediction


def _wait(job: Job[Prediction]) -> None:
    if job.finished:
        st.rerun()
    shell.heading("Findings")
    loading = (
        ""
        if resources.reader().model_is_open
        else " The model is being loaded; this takes a few seconds once."
    )
    shell.quiet(f"The picture is being read.{loading}")


def _failed(job: Job[Prediction], radiograph: Radiograph) -> None:
    shell.heading("Findings")
    failure = job.failure
    if failure is not None and failure.kind == "no-model":
        shell.note(words.NO_MODEL, words.GET_A_MODEL)
    elif failure is not None:
        shell.note("No score is given.", failure.message, kind="error")
    if st.button("Try again"):
        resources.retry_prediction(radiograph)
        st.rerun()
    shell.quiet(words.INTENDED_USE)
