"""One study: the radiograph, the findings, and three explanations side by side."""

from __future__ import annotations

import streamlit as st

from cxrviewer.ui import answering, film, findings, maps, opening, resources, shell, strip
from cxrviewer.ui.state import viewer_state

with shell.screen():
    state = viewer_state()
    study = opening.open_study(state)
    if study is None:
        opening.nothing_open()
    else:
        opening.study_line(study, state)
        radiograph = resources.radiograph(state.digest or study.digest, state.frame)
        with shell.two_columns() as (reading, panel):
            with reading, st.container(key="film"):
                film.tools(radiograph, state)
                film.show_film(radiograph, state)
            with panel:
                prediction = answering.answer(radiograph, state)
                thumbnails = st.container(key="strip")
                if prediction is not None:
                    findings.model_box(prediction)
            if prediction is not None and prediction.scores:
                with reading, st.container(key="maps"):
                    maps.choose_finding(prediction, state)
                    maps.show_maps(radiograph, state)
                with thumbnails:
                    strip.show_strip(radiograph, prediction, state)
