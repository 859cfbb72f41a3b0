"""The line of filters above the worklist, and the line of pages below it."""

from __future__ import annotations

from functools import partial

import streamlit as st

from cxrviewer.archive import Order, StudyPage
from cxrviewer.ui import shell
from cxrviewer.ui.state import ViewerState, bind, keep, viewer_state
from cxrviewer.ui.studies import SHOW


def filter_line(state: ViewerState) -> None:
    """Text, what to show, order, names: one line."""
    text, show, order, names = st.columns([3, 2, 1.4, 1.1], vertical_alignment="center")
    text.text_input(
        "Search",
        key=bind("text"),
        on_change=partial(_filtered, "text"),
        placeholder="Name, number or file",
        label_visibility="collapsed",
    )
    show.selectbox(
        "Show",
        list(SHOW),
        key=bind("show"),
        on_change=partial(_filtered, "show"),
        format_func=lambda value: f"Show: {value}",
        label_visibility="collapsed",
    )
    order.selectbox(
        "Order",
        [order.value for order in Order],
        key=bind("order"),
        on_change=partial(_filtered, "order"),
        format_func=lambda value: f"Sort: {value}",
        label_visibility="collapsed",
    )
    names.toggle(
        "Show names",
        key=bind("names_shown"),
        on_change=partial(keep, "names_shown"),
        help="Names are masked by default.",
    )


def _filtered(field: str) -> None:
    keep(field)
    viewer_state().page = 1


def pages_line(page: StudyPage, state: ViewerState) -> None:
    """How many there are, and the pages where one does not hold them."""
    with st.container(horizontal=True, vertical_alignment="center"):
        shell.quiet(f"{page.total} stud{'y' if page.total == 1 else 'ies'}")
        if page.pages > 1:
            back, forth = (
                st.button("Newer", disabled=page.page <= 1),
                st.button("Older", disabled=page.page >= page.pages),
            )
            shell.quiet(f"page {page.page} of {page.pages}")
            if back or forth:
                state.page += 1 if forth else -1
                st.rerun()
