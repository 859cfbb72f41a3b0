"""How the scores are read: by which operating point, and at which prevalence. It changes what is shown, never a result.

The network's logits stay as they are, and so does what the archive keeps of them: at the site's own settings.
"""

from __future__ import annotations

import streamlit as st

from cxrviewer.classifiers.calibration import rescored
from cxrviewer.classifiers.card import Card
from cxrviewer.classifiers.prediction import Prediction, Score
from cxrviewer.ui import resources, shell, words
from cxrviewer.ui.state import ViewerState, keep, viewer_state, widget_key

OWN = "model"
"""The operating point that the model's card has chosen."""
_STEP = 0.01
_WHY = (
    "Another prevalence moves probabilities and thresholds alike: what is called positive stays, what a number means "
    "changes."
)


def chosen(prediction: Prediction, state: ViewerState) -> Prediction:
    """The prediction as this session reads it; as it is where nothing was chosen, or its model is gone."""
    card = _card(prediction)
    if card is None or not (state.point or state.prevalence):
        return prediction
    site = resources.site_settings()
    prevalence = state.prevalence or site.site_prevalence
    return rescored(prediction, card.targets, prevalence, state.point or site.operating_point)


def choose(prediction: Prediction, state: ViewerState) -> None:
    """The door to both choices. `prediction`: as stored."""
    card = _card(prediction)
    if card is None:
        return
    with st.popover("Thresholds", type="tertiary", help="Operating point and prevalence of this session"):
        names = dict.fromkeys(name for target in card.targets for name in target.points)
        st.selectbox(
            "Operating point",
            [OWN, *names],
            key=_seeded("point", state.point or resources.site_settings().operating_point),
            on_change=keep,
            args=("point",),
            format_func=point_name,
        )
        if prediction.pneumonia is not None and prediction.pneumonia.prevalence is not None:
            st.slider(
                "Prevalence of pneumonia where the pictures come from",
                _STEP,
                1 - _STEP,
                key=_seeded("prevalence", state.prevalence or round(prediction.pneumonia.prevalence, 2)),
                step=_STEP,
                on_change=keep,
                args=("prevalence",),
                help=_WHY,
            )
        shell.quiet("Only for what this session shows; stored results keep the site's settings.")
        st.button(
            "Back to the site's settings", on_click=_reset, disabled=not (state.point or state.prevalence)
        )


def told(score: Score | None, state: ViewerState) -> tuple[str, ...]:
    """What the pneumonia score and all thresholds stand for. score: as shown."""
    lines = [f"Operating points: {point_name(state.point)}, chosen for this session."] if state.point else []
    if score is not None and score.prevalence is not None:
        stands = f"Pneumonia stands for a prevalence of {words.probability(score.prevalence)}, "
        if state.prevalence:
            lines.append(stands + "as set for this session.")
        elif resources.site_settings().site_prevalence is not None:
            lines.append(stands + "as set for this site.")
        else:
            lines.append(stands + "as in training.")
    return tuple(lines)


def point_name(name: str) -> str:
    """`sensitivity 0.95`, or that the model's own is meant."""
    return "the model's own choice" if name == OWN else name.replace("-", " ")


def _card(prediction: Prediction) -> Card | None:
    card = resources.reader().model.card
    return card if card.weights_sha256 == prediction.provenance.weights_sha256 else None


def _seeded(field: str, value: object) -> str:
    """Key of a widget that shows what holds, although the state remembers only what was chosen."""
    key = widget_key(field)
    st.session_state.setdefault(key, value)
    return key


def _reset() -> None:
    state = viewer_state()
    state.point, state.prevalence = "", 0.0
    for field in ("point", "prevalence"):
        st.session_state.pop(widget_key(field), None)
