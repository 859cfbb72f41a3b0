"""Why this answer? Three maps side by side, each when it is ready, and what each says against itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cxrviewer.classifiers.prediction import Prediction
from cxrviewer.reading import Job, JobState
from cxrviewer.studies.radiograph import Radiograph
from cxrviewer.ui import colouring, film, regions, resources, shell, spread, words
from cxrviewer.ui.state import ViewerState, bind, keep
from cxrviewer.ui.viewport import Pane, show_panes
from cxrviewer.ui.viewport.media import address

if TYPE_CHECKING:
    from cxrviewer.explainers.explainer import Explanation

METHODS = ("gradcam", "integrated-gradients", "lime")
HEIGHT = "var(--cxr-map, 240px)"
"""What `shell` leaves for it."""
_POLL = 0.6

Admits = Mapping[str, float | int | str]


def show_maps(radiograph: Radiograph, state: ViewerState) -> None:
    """The maps of the chosen finding; nothing before one is chosen."""
    if state.finding is None:
        resources.explanations().keep_only(set(), state.owner)
        return
    jobs = {method: _submit(radiograph, state.finding, method, state.owner) for method in METHODS}
    more = spread.job_of(radiograph, state)
    all_jobs = [*jobs.values(), *([more] if more else [])]
    resources.explanations().keep_only({job.key for job in all_jobs}, state.owner)  # type: ignore[misc]
    running = not all(job.finished for job in all_jobs)
    with st.container(key="maps-asked"):
        shell.quiet(words.NOT_EVIDENCE)
        st.fragment(_draw, run_every=_POLL if running else None)(radiograph, state, jobs, more, running)


def choose_finding(prediction: Prediction, state: ViewerState) -> None:
    """The chooser below the picture, and how the maps are drawn; no map is made before it is used."""
    names = {score.target.name: score for score in prediction.scores}
    if state.finding not in names:
        state.finding = None
    chooser, *places = st.columns([2.7, 1.6, 1.6, 1.3], vertical_alignment="center")
    chooser.selectbox(
        "Why this answer?",
        list(names),
        key=bind("finding"),
        on_change=partial(keep, "finding"),
        index=None,
        placeholder="Choose a finding to see what moved its answer",
        format_func=lambda name: (
            f"Why {words.target_label(names[name].target)} {words.probability(names[name].probability)}?"
        ),
        label_visibility="collapsed",
    )
    if state.finding is not None:
        _controls(*places)


def _controls(opacity: DeltaGenerator, keep_top: DeltaGenerator, colours: DeltaGenerator) -> None:
    """One opacity, one cut and one colour map for all three."""
    opacity.slider(
        "Opacity",
        0.0,
        1.0,
        key=bind("opacity"),
        step=0.05,
        format="opacity %.2f",
        on_change=partial(keep, "opacity"),
        label_visibility="collapsed",
    )
    keep_top.slider(
        "Keep top",
        1,
        100,
        key=bind("keep_top"),
        format="keep top %d %%",
        on_change=partial(keep, "keep_top"),
        label_visibility="collapsed",
    )
    colours.selectbox(
        "Colours",
        colouring.COLOURS,
        key=bind("colours"),
        on_change=partial(keep, "colours"),
        format_func=lambda name: f"Colours: {name}",
        label_visibility="collapsed",
    )


def _submit(radiograph: Radiograph, finding: str, method: str, owner: str) -> Job[Explanation]:
    return resources.explanations().submit(radiograph, finding, method, owner=owner)


def _draw(
    radiograph: Radiograph,
    state: ViewerState,
    jobs: Mapping[str, Job[Explanation]],
    more: Job[Explanation] | None,
    running: bool,
) -> None:
    panes = [_pane(method, job, radiograph, state) for method, job in jobs.items()]
    if told := spread.line(more):
        panes = [_beside(pane, told) if pane.id == spread.METHOD else pane for pane in panes]
    show_panes(
        panes,
        view=film.view_of(radiograph),
        shape=radiograph.shape,
        spacing=radiograph.spacing,
        height=HEIGHT,
        key="maps-panes",
    )
    for column, (method, job) in zip(st.columns(len(jobs)), jobs.items(), strict=True):
        with column:
            if job.failure is not None:
                _again(method, job)
            if method == spread.METHOD and job.result is not None:
                with st.container(key="lime-tools", horizontal=True, vertical_alignment="center"):
                    regions.control()
                    spread.control(radiograph, job, more)
    if running and all(job.finished for job in (*jobs.values(), *([more] if more else []))):
        # All there: the page is drawn once more, without a clock.
        st.rerun()


def _again(method: str, job: Job[Explanation]) -> None:
    if st.button("Try again", key=f"again-{method}"):
        resources.explanations().retry(job.key)  # type: ignore[arg-type]
        st.rerun()


def _beside(pane: Pane, told: str) -> Pane:
    """The same pane with one more thing that its method admits."""
    first, *rest = pane.caption or ("",)
    return replace(pane, caption=(first, told, *rest))


def _pane(method: str, job: Job[Explanation], radiograph: Radiograph, state: ViewerState) -> Pane:
    from cxrviewer.explainers import EXPLAINERS

    kind = EXPLAINERS[method]
    found, base = job.result, film.picture(radiograph, state)
    alt = f"{kind.title} of {state.finding}"
    if found is None:
        return _waiting(Pane(method, kind.title, base, alt, hint=kind.meaning), job)
    part, keep_top = regions.shown(found, state)
    drawn = colouring.layer(part, signed=kind.signed, keep_top=keep_top, colours=state.colours)
    return Pane(
        method,
        kind.title,
        base,
        alt,
        overlay=address(drawn.png, "image/png", f"map-{method}"),
        opacity=state.opacity,
        caption=(_admits(method, found), kind.meaning),
        legend=drawn.legend,
        hint=kind.meaning,
    )


def _waiting(pane: Pane, job: Job[Explanation]) -> Pane:
    """The pane without its map: what it waits for, or why there will be none."""
    if job.failure is not None:
        return replace(pane, caption=(job.failure.message,))
    if job.state is JobState.QUEUED:
        return replace(pane, progress=0.0, waiting="waiting for its turn")
    return replace(pane, progress=job.progress, waiting=f"{round(100 * job.progress)} % done")


def _gradcam(admits: Admits) -> str:
    return f"{float(admits['negative_share']):.0%} of the map is negative and not shown".replace("%", " %")


def _integrated_gradients(admits: Admits) -> str:
    delta = f"{float(admits['convergence_delta']):.2g}".replace("-", "\u2212")
    return f"{admits['steps']} steps, delta {delta} logit"


def _lime(admits: Admits) -> str:
    return f"{admits['samples']} samples, {admits['segments']} regions, R² {float(admits['r2']):.2f}"


_ADMITS: Mapping[str, Callable[[Admits], str]] = {
    "gradcam": _gradcam,
    "integrated-gradients": _integrated_gradients,
    "lime": _lime,
}


def _admits(method: str, explanation: Explanation) -> str:
    return f"{_ADMITS[method](explanation.admits)}; {explanation.seconds:.1f} s"
