"""Bytes -> an address that the browser can fetch.

A picture that goes by URL is sent once and kept by the browser, however often the page redraws; as a data URI it
would travel with every redraw. The runtime's media files are an internal interface of Streamlit (its version is
bounded in requirements.txt), so they are touched here alone. Without a runtime the data URI takes their place.
"""

from __future__ import annotations

import base64

import streamlit as st
from streamlit import runtime


def address(data: bytes, mimetype: str, place: str) -> str:
    """A URL for `data`. `place` names where on the page it stands: a later picture there replaces this one.

    To be called on every run of the script, else the runtime drops the file.
    """
    if not runtime.exists():
        return data_uri(data, mimetype)
    url = runtime.get_instance().media_file_mgr.add(data, mimetype, f"cxr-{place}")
    prefix = str(st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{prefix}{url}" if prefix else url


def data_uri(data: bytes, mimetype: str) -> str:
    """The bytes inside the address itself."""
    return f"data:{mimetype};base64,{base64.b64encode(data).decode()}"
