"""Model cards: what each model is for, what it was trained on, how it fared."""

from __future__ import annotations

import streamlit as st

from cxrviewer.ui import cards, resources, shell

with shell.screen():
    # The first look loads a network library, which takes seconds.
    reading = st.empty()
    with reading:
        shell.quiet("Reading the model cards.")
    models = resources.models()
    reading.empty()
    cards.show_models(models)
