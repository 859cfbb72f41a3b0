"""The findings panel: what the model answers, sorted, each with its operating point, band and definition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from cxrviewer.classifiers.calibration import band_limits
from cxrviewer.classifiers.prediction import Prediction, ScopeAnswer, Score
from cxrviewer.classifiers.targets import Target
from cxrviewer.labels import DEFINITIONS
from cxrviewer.ui import resources, shell, thresholds, words
from cxrviewer.ui.rows import Cell, Column, Kind, Row, show_rows
from cxrviewer.ui.state import ViewerState

_COLUMNS = (
    Column("minmax(0, 1.35fr)"),
    Column("36px", align="right"),
    Column("minmax(56px, 1fr)"),
    Column("46px"),
)


def show_findings(prediction: Prediction, state: ViewerState) -> None:
    """Pneumonia first, then the findings from the highest down. Choosing a row asks why."""
    cautions(prediction.scope)
    scores = [score for score in (prediction.pneumonia, *prediction.findings) if score is not None]
    limits = _limits(prediction)
    rows = [
        _row(score, state.finding, limits.get(score.target, ()), large=index == 0)
        for index, score in enumerate(scores)
    ]
    chosen = show_rows("Findings", _COLUMNS, rows, key="findings")
    if chosen is not None and chosen != state.finding:
        choose(state, chosen)
        st.rerun()
    shell.quiet(*thresholds.told(prediction.pneumonia, state), *_marks(scores, limits))


def choose(state: ViewerState, finding: str | None) -> None:
    """The finding to explain, in the state and in the chooser."""
    state.finding = finding
    st.session_state.pop("viewer.finding", None)


def out_of_scope(prediction: Prediction) -> None:
    """Why there is no score."""
    shell.note("No score is given.", "This is not a picture that the model was made for.", kind="caution")
    for reason in prediction.scope.reasons:
        shell.note(reason)


def cautions(scope: ScopeAnswer) -> None:
    """What a reader must know although the picture is in scope."""
    if scope.cautions:
        shell.note(" ".join(scope.cautions), kind="caution")


def model_box(prediction: Prediction) -> None:
    """Model, version, intended use and limits, in view beside the scores (G26)."""
    made = prediction.provenance
    line = resources.model_line(made.model_id, made.weights_sha256)
    with st.container(border=True, key="model-box"):
        shell.title((made.model_id, made.weights_sha256[:8], f"program {made.app_version}"))
        shell.quiet(words.INTENDED_USE, *(f"Limit: {limit}" for limit in line.limits), scrolls=True)
        st.page_link("pages/models/registry.py", label="Model card")


def _limits(prediction: Prediction) -> dict[Target, tuple[float, ...]]:
    """Where each target's bands begin, at the prevalence that the answer stands for."""
    card = resources.reader().model.card
    if card.weights_sha256 != prediction.provenance.weights_sha256:
        return {}
    at = {score.target: score.prevalence for score in prediction.scores}
    found = {target.target: band_limits(target, at.get(target.target)) for target in card.targets}
    return {target: limits for target, limits in found.items() if limits is not None}


def _row(score: Score, chosen: str | None, limits: tuple[float, ...], *, large: bool) -> Row:
    name, value = words.target_label(score.target), words.probability(score.probability)
    band = score.band.value if score.band else ""
    return Row(
        id=score.target.name,
        label=f"{name} {value} {band}. Show why",
        cells=(
            Cell(name, sub=operating_point(score, short=True) if large else "", title=operating_point(score)),
            Cell(value),
            Cell(
                f"{value} {band}",
                Kind.BAR,
                value=score.probability,
                mark=score.threshold,
                limits=limits,
                band=band,
            ),
            Cell(word(score), band=band),
        ),
        tip=_tip(score),
        selected=score.target.name == chosen,
        large=large,
    )


def word(score: Score) -> str:
    """The band; where there is none, on which side of the operating point it stands."""
    if score.band is not None:
        return score.band.value
    return "–" if score.positive is None else "above" if score.positive else "below"


def operating_point(score: Score, *, short: bool = False) -> str:
    """`at 0.41: sensitivity 0.90, specificity 0.88`; says so where there is none."""
    if score.threshold is None:
        return "no operating point"
    at, sensitivity = words.probability(score.threshold), words.probability(score.sensitivity)
    if short:
        return f"at {at}, sens {sensitivity}"
    return f"at {at}: sensitivity {sensitivity}, specificity {words.probability(score.specificity)}"


def _tip(score: Score) -> tuple[str, ...]:
    found = DEFINITIONS.get(score.target.label)
    point = operating_point(score)
    if score.threshold is None:
        point += ": too few positives to choose one"
    stands = "" if score.prevalence is None else f" Prevalence: {words.probability(score.prevalence)}."
    meaning = (found.text, found.source) if found else (score.target.label,)
    return (*meaning, f"Operating point: {point}.{stands}")


def _marks(scores: Sequence[Score], limits: Mapping[Target, tuple[float, ...]]) -> tuple[str, ...]:
    """What the marks and dashes of this very list mean."""
    told = []
    if any(score.threshold is not None for score in scores):
        told.append("Mark: operating point.")
    if limits:
        told.append("Ticks below: where unsure and high begin.")
    if any(score.threshold is None for score in scores):
        told.append("–: too few positives for an operating point.")
    return (" ".join(told),)
