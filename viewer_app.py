"""CXR Viewer: `streamlit run viewer_app.py`."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from cxrviewer.ui.first_visit import go_on_if_mistaken

# A file of our own: an emoji or a Material icon here would be fetched from elsewhere.
ICON = Path(__file__).parent / "cxrviewer" / "ui" / "icon.svg"
st.set_page_config(
    page_title="CXR Viewer", page_icon=str(ICON), layout="wide", initial_sidebar_state="collapsed"
)

# One folder below pages/: files directly in it clash with st.navigation (Streamlit 1.67).
pages = [
    st.Page("pages/reading/worklist.py", title="Worklist", url_path="worklist", default=True),
    st.Page("pages/reading/viewer.py", title="Viewer", url_path="viewer"),
    st.Page("pages/models/registry.py", title="Models", url_path="models"),
    st.Page("pages/training/datasets.py", title="Data sets", url_path="datasets"),
    st.Page("pages/training/launch.py", title="Train", url_path="launch"),
    st.Page("pages/training/runs.py", title="Training runs", url_path="runs"),
]

go_on_if_mistaken([page.url_path for page in pages])
st.navigation(pages, position="top").run()
