"""The chooser of presets: what each repeats, which figures were published, and what differs here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

from cxrviewer.datasets.remembering import Remembered
from cxrviewer.training.presets import PRESETS, Preset
from cxrviewer.ui import shell
from cxrviewer.ui.dataset_words import READERS
from cxrviewer.ui.launching import take_over
from cxrviewer.ui.recipe_form import source_of
from cxrviewer.ui.room import RoomState


def choose_preset(room: RoomState, known: Sequence[Remembered]) -> None:
    """A popover with the list; taking one over fills the form with it and with the data sets that fit.

    The form is then another, and so is the popover's key: it closes.
    """
    with st.popover("Presets", key=f"presets-{room.recipe.revision}"):
        name = st.selectbox(
            "A first run, or a recipe that repeats published work",
            list(PRESETS),
            format_func=lambda key: PRESETS[key].title,
            width=620,
        )
        preset = PRESETS[name]
        shell.quiet(f"Repeats {preset.repeats}.")
        if preset.published:
            shell.quiet(f"Published: {preset.published}.")
        shell.quiet(f"Differs: {preset.differs}.")
        sources, lacking = sources_for(preset, known)
        if lacking:
            shell.note(
                f"It learns from {', '.join(READERS[reader][0] for reader in lacking)}.",
                "Add that folder on the data sets page first, or choose your own data set afterwards.",
                kind="caution",
            )
        if st.button("Fill the form with it", type="primary"):
            take_over(room, json.loads(json.dumps({**preset.recipe, "sources": sources})))
            st.rerun()


def sources_for(preset: Preset, known: Sequence[Remembered]) -> tuple[list[dict[str, Any]], list[str]]:
    """The preset's sources with the folders that are remembered for their readers, and the readers that lack."""
    found, lacking = [], []
    for wanted in preset.sources:
        one = next((one for one in known if one.reader == wanted["name"]), None)
        if one is None:
            lacking.append(str(wanted["name"]))
        else:
            found.append(source_of(one) | dict(wanted) | {"root": one.root})
    return found, lacking
