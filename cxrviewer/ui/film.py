"""The radiograph on the screen: its tools, the picture, and the line that says what is shown."""

from __future__ import annotations

from functools import partial

import streamlit as st

from cxrviewer.studies.radiograph import PixelSpacing, Radiograph, SpacingReference, Tag
from cxrviewer.ui import resources, shell, words
from cxrviewer.ui.pictures import CUSTOM, as_window
from cxrviewer.ui.state import ViewerState, bind, keep, viewer_state, widget_key
from cxrviewer.ui.viewport import Pane, Values, show_panes
from cxrviewer.ui.viewport.media import address

HEIGHT = "var(--cxr-film, 500px)"
"""What `shell` leaves for it: all above the chooser, less once maps stand below."""


_IDENTITY = frozenset(
    {
        "PatientID",
        "PatientBirthDate",
        "PatientAddress",
        "PatientTelephoneNumbers",
        "OtherPatientIDs",
        "OtherPatientIDsSequence",
        "AccessionNumber",
    }
)


def tools(radiograph: Radiograph, state: ViewerState) -> None:
    """Window, level, invert, frame and tags: one line."""
    names = list(resources.presets(radiograph.digest, radiograph.frame))
    if state.preset not in (*names, CUSTOM):
        _take(names[0], radiograph)
    elif state.preset != CUSTOM and state.width == 1.0 and state.center == 0.0:
        _take(state.preset, radiograph)
    several = radiograph.frames > 1
    preset, level, width, frame, invert, tags = st.columns(
        [2, 2.4, 2.4, 1.3 if several else 0.01, 1.1, 0.8], vertical_alignment="center"
    )
    preset.selectbox(
        "Window",
        [*names, CUSTOM],
        key=bind("preset"),
        on_change=partial(_preset_changed, radiograph),
        format_func=lambda name: f"Window: {name}",
        label_visibility="collapsed",
    )
    low, high = radiograph.full_range
    span = max(high - low, 1.0)
    high = low + span
    step = 0.01 if span < 20 else 1.0
    _slider(level, "center", "level", (min(low, state.center), max(high, state.center)), step)
    _slider(width, "width", "width", (step, max(1.5 * span, state.width)), step)
    if several:
        frame.slider(
            "Frame",
            1,
            radiograph.frames,
            key=bind("frame"),
            format=f"frame %d of {radiograph.frames}",
            on_change=partial(keep, "frame"),
            label_visibility="collapsed",
        )
    invert.toggle("Invert", key=bind("invert"), on_change=partial(keep, "invert"))
    if tags.button("Tags", type="tertiary", help="What the file's header states"):
        _tags(radiograph)


def _slider(place, field: str, name: str, span: tuple[float, float], step: float) -> None:  # type: ignore[no-untyped-def]
    place.slider(
        name.capitalize(),
        *span,
        key=bind(field),
        step=step,
        format=f"{name} %.2f" if step < 1 else f"{name} %d",
        on_change=partial(_slid, field),
        label_visibility="collapsed",
    )


def _slid(field: str) -> None:
    keep(field)
    viewer_state().preset = CUSTOM
    st.session_state[widget_key("preset")] = CUSTOM


def _preset_changed(radiograph: Radiograph) -> None:
    keep("preset")
    _take(viewer_state().preset, radiograph)


def _take(name: str, radiograph: Radiograph) -> None:
    """A preset, and its centre and width for the sliders."""
    state = viewer_state()
    state.preset = name
    voi = resources.presets(radiograph.digest, radiograph.frame).get(name)
    if voi is not None:
        window = as_window(voi)
        state.center, state.width = window.center, window.width
    for field in ("preset", "center", "width"):
        st.session_state[widget_key(field)] = getattr(state, field)


def picture(radiograph: Radiograph, state: ViewerState) -> str:
    """The address of the picture in the reader's window."""
    data = resources.film(
        radiograph.digest, radiograph.frame, state.preset, state.center, state.width, state.invert
    )
    return address(data, "image/jpeg", f"film-{radiograph.digest}")


def view_of(radiograph: Radiograph) -> str:
    """What zooms and pans together."""
    return f"{radiograph.digest}-{radiograph.frame}"


def show_film(radiograph: Radiograph, state: ViewerState) -> None:
    """The radiograph, and below it what is shown and how."""
    show_panes(
        [Pane("film", "", picture(radiograph, state), alt="Radiograph", tools=True)],
        view=view_of(radiograph),
        shape=radiograph.shape,
        spacing=radiograph.spacing,
        height=HEIGHT,
        key="film-panes",
        values=_values(radiograph),
    )
    small = resources.small(radiograph.digest, radiograph.frame)
    shell.quiet(
        " · ".join(
            (
                _window(state),
                words.shown_size(small.shape, radiograph.shape),
                _millimetres(radiograph.spacing),
                "wheel zooms, drag moves",
            )
        )
    )


def _values(radiograph: Radiograph) -> Values:
    data, low, step = resources.codes(radiograph.digest, radiograph.frame)
    # Named a picture so that the server does not spend a second on compressing it.
    return Values(address(data, "image/png", "values"), low, step)


def _window(state: ViewerState) -> str:
    inverted = ", inverted" if state.invert else ""
    return (
        f"W {state.width:g} L {state.center:g}{inverted}"
        if state.width >= 20
        else f"W {state.width:.3g} L {state.center:.3g}{inverted}"
    )


def _millimetres(spacing: PixelSpacing | None) -> str:
    if spacing is None or spacing.reference is SpacingReference.UNKNOWN:
        return "no millimetres: the file states no usable pixel spacing"
    where = f"{spacing.column_mm:.3g} mm a pixel, {spacing.reference.value} ({spacing.attribute})"
    return (
        where if spacing.magnification is None else f"{where}, magnification {spacing.magnification:g} stated"
    )


@st.dialog("Tags", width="large")
def _tags(radiograph: Radiograph) -> None:
    """The header, as text. A grid draws on a canvas, so nothing in it can be markup."""
    if not radiograph.tags:
        shell.note("This file has no DICOM header.")
        return
    st.dataframe(
        {
            "Tag": [tag.number for tag in radiograph.tags],
            "Keyword": [tag.keyword for tag in radiograph.tags],
            "VR": [tag.vr for tag in radiograph.tags],
            "Value": [_value(tag, viewer_state().names_shown) for tag in radiograph.tags],
        },
        hide_index=True,
        height=520,
        column_config={
            "Tag": st.column_config.TextColumn(width="small"),
            "VR": st.column_config.TextColumn(width="small"),
        },
    )


def _value(tag: Tag, names_shown: bool) -> str:
    """A tag's text; who the patient is stays masked unless the reader has asked for names."""
    identifies = tag.vr == "PN" or tag.keyword in _IDENTITY
    return (
        "masked (Show names, in the worklist)" if identifies and not names_shown and tag.value else tag.value
    )
