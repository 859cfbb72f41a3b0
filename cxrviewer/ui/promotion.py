"""Choosing the serving model: first the comparison with the present one, side by side; then a yes; and the way back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from cxrviewer.errors import CxrError
from cxrviewer.reading.jobs import JobState
from cxrviewer.settings import get_settings
from cxrviewer.ui import resources, shell
from cxrviewer.ui.candidates import (
    FinishedRun,
    cards_side_by_side,
    compared_table,
    lost_answers,
    run_of,
    verdict,
)
from cxrviewer.ui.tables import show_table

if TYPE_CHECKING:
    from cxrviewer.classifiers.card import Card
    from cxrviewer.classifiers.registry import ModelInfo
    from cxrviewer.training.comparing import Comparison

ASKED = "promotion-asked"
"""What the reader wants to see compared: a model's id."""


def show_undo(models: Sequence[ModelInfo]) -> None:
    """A button back to the earlier choice; nothing where there is none."""
    from cxrviewer.classifiers.registry import earlier_choice

    possible, earlier = earlier_choice(get_settings())
    serving = next((model.id for model in models if model.serving), "no model")
    if not possible or get_settings().model:
        return
    back = earlier or "the one that comes with the program"
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(width="content"):
            shell.quiet(f"{serving} serves because it was chosen here. Before it: {back}.")
        if st.button("Undo", key="model-undo", help=f"Let {back} serve again."):
            _undo()


def _undo() -> None:
    from cxrviewer.classifiers.registry import undo

    undo(get_settings())
    _changed()


def _changed() -> None:
    resources.forget_model()
    st.session_state.pop(ASKED, None)
    st.session_state.pop("model", None)
    st.rerun()


def show_runs(runs: Sequence[FinishedRun], models: Sequence[ModelInfo]) -> None:
    """Finished runs whose model is not among the models yet."""
    fresh = [run for run in runs if not run.installed]
    if not fresh:
        return
    shell.heading("From your training runs", "finished, and not among the models yet")
    for run in fresh:
        words, button = st.columns([5, 1], vertical_alignment="center")
        with words:
            shell.quiet(f"{run.card.id}: {run.card.title}, made {run.card.created[:10]}")
        if button.button(
            "Compare", key=f"compare-{run.path.name}", help="Side by side with the serving model."
        ):
            st.session_state[ASKED] = run.card.id
        if st.session_state.get(ASKED) == run.card.id:
            show_comparison(run.card, run.path, models)


def show_choice(model: ModelInfo, runs: Sequence[FinishedRun], models: Sequence[ModelInfo]) -> None:
    """Below a model's title: that it serves, or the way to let it."""
    if model.card is None or model.card.task != "classification" or model.problem or model.serving:
        return
    if get_settings().model:
        shell.quiet("CXR_MODEL names the serving model, so it cannot be chosen here.")
        return
    if st.button(
        "Use this model", key="model-use", help="The comparison with the serving model comes first."
    ):
        st.session_state[ASKED] = model.id
    if st.session_state.get(ASKED) == model.id:
        show_comparison(model.card, run_of(model.card, runs), models)


def show_comparison(card: Card, run: Path | None, models: Sequence[ModelInfo]) -> None:
    """Side by side, then the question. run: where it was trained, which knows pictures to compare on."""
    serving = next((model.card for model in models if model.serving), None)
    with st.container(border=True, key="comparison"):
        if serving is None:
            shell.note("No model serves yet: there is nothing to compare.")
            _ask(card, run)
            return
        if lost := lost_answers(card, serving):
            shell.note(f"{card.id} does not answer {', '.join(lost)}.", f"{serving.id} does.", kind="caution")
        if run is None:
            _by_cards(card, serving)
            _ask(card, run)
        else:
            _by_pictures(card, run, serving.weights_sha256)


def _by_cards(card: Card, serving: Card) -> None:
    shell.heading(f"{card.id} beside {serving.id}", "as their cards say")
    shell.note(
        "Its training run is not here, so the two cannot be compared on the same pictures.",
        "Each figure is of the model's own report part.", kind="caution",
    )  # fmt: skip
    columns = cards_side_by_side(card, serving)
    if columns["Label"]:
        show_table(columns)
    else:
        shell.quiet("The two cards have no label of the same data set in common.")


def _by_pictures(card: Card, run: Path, serving: str) -> None:
    """How far the comparison is; then what it says, and the question."""
    job = resources.comparison(run, serving)
    if not job.finished:
        _watch(run, serving)
        return
    if job.state is JobState.DONE and job.result is not None:
        show_compared(job.result)
    elif job.failure is not None:
        shell.note("The two could not be compared.", job.failure.message, kind="error")
    _ask(card, run)


@st.fragment(run_every=1.0)
def _watch(run: Path, serving: str) -> None:
    """Only while there is something to wait for: what is done is not drawn again every second."""
    job = resources.comparison(run, serving)
    if job.finished:
        st.rerun()
    shell.quiet("Comparing on the pictures of the run's report part.")
    st.progress(job.progress)


def show_compared(found: Comparison) -> None:
    """A comparison as tables, what must be known first above them."""
    shell.heading(f"{found.new_model} beside {found.serving_model or 'nothing'}", verdict(found))
    for words in found.notes:
        shell.note(words, kind="caution")
    for part in found.parts:
        shell.quiet(
            f"{part.dataset}: {part.n_images} pictures of {part.n_patients} people, the same for both"
        )
        names = (found.new_model, found.serving_model or "none")
        show_table(compared_table(part, names))


def _ask(card: Card, run: Path | None) -> None:
    yes, no, _ = st.columns([1, 1, 4])
    if yes.button("Let it serve", type="primary", key="model-yes", width="stretch"):
        _serve(card, run)
    if no.button("Keep the present one", key="model-no", width="stretch"):
        st.session_state.pop(ASKED, None)
        st.rerun()


def _serve(card: Card, run: Path | None) -> None:
    from cxrviewer.classifiers.registry import use
    from cxrviewer.training.promoting import promote

    try:
        if run is None:
            use(card.id, get_settings())
        else:
            promote(run, get_settings())
    except CxrError as error:
        shell.problem(error)
        return
    _changed()
