"""The very first visit to a server, where it goes straight to one of the pages.

Streamlit takes an app beside a folder `pages/` for one of its older kind until `st.navigation` has run once, tells that
first visitor that the page does not exist, and leads on to the main one (seen in 1.67). From then on addresses are
known, so the visitor is sent once more to where he wanted to go.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from urllib.parse import urlencode

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import get_script_run_ctx

_GO = "<script>window.location.replace(window.location.pathname.replace(/[/]$/, '') + {where});</script>"


def go_on_if_mistaken(paths: Collection[str]) -> None:
    """Send the first visitor of this server to the page asked for. paths: the pages' names in addresses."""
    context = get_script_run_ctx()
    if not PagesManager.uses_pages_directory or context is None:
        return
    PagesManager.uses_pages_directory = False
    name = context.pages_manager.intended_page_name
    if name and name in paths:
        # Percent signs for all that an address might say besides: it becomes part of a script.
        query = urlencode(st.query_params.to_dict())
        st.html(
            _GO.format(where=json.dumps(f"/{name}?{query}" if query else f"/{name}")),
            unsafe_allow_javascript=True,
        )
        st.stop()
