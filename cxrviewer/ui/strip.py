"""Four small Grad-CAMs beside the chosen finding's maps: the forward pass gives them for nothing."""

from __future__ import annotations

import streamlit as st

from cxrviewer.classifiers.prediction import Prediction
from cxrviewer.reading import Job
from cxrviewer.studies.radiograph import Radiograph
from cxrviewer.ui import colouring, film, resources, shell, words
from cxrviewer.ui.resources import Maps
from cxrviewer.ui.state import ViewerState
from cxrviewer.ui.viewport import Pane, show_panes
from cxrviewer.ui.viewport.media import address

COUNT = 4
HEIGHT = "80px"
_POLL = 0.5


def show_strip(radiograph: Radiograph, prediction: Prediction, state: ViewerState) -> None:
    """Grad-CAM of the four highest findings, the highest first; nothing before a finding is chosen."""
    if state.finding is None or not prediction.findings:
        return
    job = resources.grad_cams(radiograph)
    st.fragment(_draw, run_every=None if job.finished else _POLL)(
        job, radiograph, prediction, state, job.finished
    )


def _draw(
    job: Job[Maps], radiograph: Radiograph, prediction: Prediction, state: ViewerState, finished: bool
) -> None:
    shell.quiet("Grad-CAM of the four highest findings")
    show_panes(
        _panes(job.result or {}, radiograph, prediction, state),
        view=film.view_of(radiograph),
        shape=radiograph.shape,
        height=HEIGHT,
        key="strip-panes",
        small=True,
    )
    if job.finished and not finished:
        # There: the page is drawn once more, without a clock.
        st.rerun()


def _panes(grids: Maps, radiograph: Radiograph, prediction: Prediction, state: ViewerState) -> list[Pane]:
    base, panes = film.picture(radiograph, state), []
    for score in prediction.findings[:COUNT]:
        name, overlay = words.target_label(score.target), ""
        if score.target in grids:
            drawn = colouring.layer_of(
                grids[score.target], radiograph.shape, keep_top=state.keep_top, colours=state.colours
            )
            overlay = address(drawn.png, "image/png", f"strip-{score.target.slug}")
        panes.append(
            Pane(
                score.target.slug,
                "",
                base,
                f"Grad-CAM of {name}",
                overlay=overlay,
                opacity=state.opacity,
                caption=(f"{name} {words.probability(score.probability)}",),
            )
        )
    return panes
