"""Start a training run: data set, recipe, what it means, and the button."""

from __future__ import annotations

import streamlit as st

from cxrviewer.datasets.remembering import remembered
from cxrviewer.settings import get_settings
from cxrviewer.ui import launching, preset_choice, recipe_form, recipe_meaning, shell
from cxrviewer.ui.room import room_state

with shell.screen():
    room = room_state()
    known = remembered(get_settings().data_dir)
    form = launching.prepare(room, known)
    if not known and not form.get("sources"):
        shell.note("No data set is known yet.", "Name a folder on the data sets page first.")
        st.page_link(
            "pages/training/datasets.py", label="Go to the data sets", icon=":material/arrow_forward:"
        )
    else:
        left, right = st.columns([1.55, 1], gap="medium")
        with left:
            with st.container(horizontal=True, vertical_alignment="center"):
                recipe_form.ask_name(form)
                preset_choice.choose_preset(room, known)
                launching.from_file(room)
            labels = recipe_meaning.labels_of(form, room)
            recipe_form.show_recipe(form, known, labels)
        with right:
            config, sentences = launching.wanted(form)
            launching.faults(sentences)
            launching.start(config, room, can=config is not None and recipe_meaning.can_start(config, room))
            if config is not None:
                recipe_meaning.show(config, room)
