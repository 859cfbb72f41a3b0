"""Why this answer? Three maps side by side, each when it is ready, and what each says against itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from cxrviewer.classifiers.prediction import Prediction
from cxrviewer.reading import Job, JobState
from cxrviewer.studies.radiograph import Radiograph
from cxrviewer.ui import colouring, film, resources, shell, words
from cxrviewer.ui.state import ViewerState, bind, keep
from cxrviewer.ui.strip import strip_panes
from cxrviewer.ui.viewport import Pane, show_panes
from cxrviewer.ui.viewport.media import address

if TYPE_CHECKING:
    from cxrviewer.explainers.explainer import Explanation

METHODS = ("gradcam", "integrated-gradients", "lime")
HEIGHT, STRIP_HEIGHT = "290px", "138px"
_POLL = 0.6

Admits = Mapping[str, float | int | str]


def show_maps(radiograph: Radiograph, state: ViewerState) -> None:
    """The maps of the chosen finding; nothing before one is chosen."""
    if state.finding is None:
        resources.explanations().keep_only(set(), state.owner)
        return
    _controls()
    jobs = {method: _submit(radiograph, state.finding, method, state.owner) for method in METHODS}
    resources.explanations().keep_only({job.key for job in jobs.values()}, state.owner)  # type: ignore[misc]
    running = not all(job.finished for job in jobs.values())
    st.fragment(_draw, run_every=_POLL if running else None)(radiograph, state, jobs, running)


def choose_finding(prediction: Prediction, state: ViewerState) -> None:
    """The chooser below the picture; no map is made before it is used."""
    names = {score.target.name: score for score in prediction.scores}
    if state.finding not in names:
        state.finding = None
    st.selectbox(
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


def _controls() -> None:
    """One opacity, one cut and one colour map for all three."""
    opacity, keep_top, colours, _ = st.columns([2, 2, 1.6, 2], vertical_alignment="center")
    opacity.slider("Opacity", 0.0, 1.0, key=bind("opacity"), step=0.05, on_change=partial(keep, "opacity"))
    keep_top.slider(
        "Keep top", 1, 100, key=bind("keep_top"), format="%d %%", on_change=partial(keep, "keep_top")
    )
    colours.selectbox(
        "Colours",
        colouring.COLOURS,
        key=bind("colours"),
        on_change=partial(keep, "colours"),
        help="Of maps without a sign. Signed maps are blue where they lower the answer, orange where they raise it.",
    )


def _submit(radiograph: Radiograph, finding: str, method: str, owner: str) -> Job[Explanation]:
    return resources.explanations().submit(radiograph, finding, method, owner=owner)


def _draw(
    radiograph: Radiograph, state: ViewerState, jobs: Mapping[str, Job[Explanation]], running: bool
) -> None:
    show_panes(
        [_pane(method, job, radiograph, state) for method, job in jobs.items()],
        view=film.view_of(radiograph),
        shape=radiograph.shape,
        spacing=radiograph.spacing,
        height=HEIGHT,
        key="maps-panes",
    )
    shell.quiet(words.NOT_EVIDENCE)
    if running and all(job.finished for job in jobs.values()):
        # All there: the page is drawn once more, without a clock.
        st.rerun()


def _pane(method: str, job: Job[Explanation], radiograph: Radiograph, state: ViewerState) -> Pane:
    from cxrviewer.explainers import EXPLAINERS

    kind = EXPLAINERS[method]
    found, base = job.result, film.picture(radiograph, state)
    alt = f"{kind.title} of {state.finding}"
    if found is None:
        return _waiting(Pane(method, kind.title, base, alt, hint=kind.meaning), job)
    drawn = colouring.layer(found, signed=kind.signed, keep_top=state.keep_top, colours=state.colours)
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
    return f"{admits['steps']} steps, delta {float(admits['convergence_delta']):.2g} logit"


def _lime(admits: Admits) -> str:
    line = f"{admits['samples']} samples, {admits['segments']} regions, R² {float(admits['r2']):.2f}"
    return line + (f", spread {float(admits['spread']):.2f}" if "spread" in admits else "")


_ADMITS: Mapping[str, Callable[[Admits], str]] = {
    "gradcam": _gradcam,
    "integrated-gradients": _integrated_gradients,
    "lime": _lime,
}


def _admits(method: str, explanation: Explanation) -> str:
    return f"{_ADMITS[method](explanation.admits)}; {explanation.seconds:.1f} s"


def show_strip(radiograph: Radiograph, prediction: Prediction, state: ViewerState) -> None:
    """Grad-CAM of the four highest findings: the forward pass gives them for nothing."""
    if state.finding is None:
        return
    shell.quiet("Grad-CAM of the four highest findings")
    for row, pair in enumerate(strip_panes(radiograph, prediction, state)):
        show_panes(
            pair,
            view=film.view_of(radiograph),
            shape=radiograph.shape,
            height=STRIP_HEIGHT,
            key=f"strip-{row}",
        )
