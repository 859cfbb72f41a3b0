"""CXR Viewer: `streamlit run viewer_app.py`."""

from __future__ import annotations

import streamlit as st

st.set_page_config(
    page_title="CXR Viewer",
    page_icon=":material/radiology:",
    layout="wide",
    initial_sidebar_state="collapsed",
)

# One folder below pages/: files directly in it clash with st.navigation (Streamlit 1.67).
pages = [
    st.Page("pages/reading/worklist.py", title="Worklist", url_path="worklist", default=True),
    st.Page("pages/reading/viewer.py", title="Viewer", url_path="viewer"),
    st.Page("pages/models/registry.py", title="Models", url_path="models"),
    st.Page("pages/training/runs.py", title="Training runs", url_path="runs"),
]

st.navigation(pages, position="top").run()
