"""One study: the radiograph, the findings, and three explanations side by side."""

from __future__ import annotations

import streamlit as st

from cxrviewer.ui import answering, film, maps, opening, resources, shell
from cxrviewer.ui.state import viewer_state

with shell.screen():
    state = viewer_state()
    study = opening.open_study(state)
    if study is None:
        opening.nothing_open()
    else:
        opening.study_line(study, state)
        radiograph = resources.radiograph(state.digest or study.digest, state.frame)
        left, right = st.columns([2.9, 1.1], gap="small")
        with left:
            film.tools(radiograph, state)
            film.show_film(radiograph, state)
        with right:
            prediction = answering.answer(radiograph, state)
        if prediction is not None and prediction.scores:
            maps.show_maps(radiograph, prediction, state)
