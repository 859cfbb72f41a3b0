"""Which of LIME's regions to show: the strongest ones, as its users know it, or all of them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from cxrviewer.ui.state import ViewerState, bind, keep

if TYPE_CHECKING:
    from cxrviewer.explainers.explainer import Explanation

REGIONS: Mapping[str, tuple[int, int] | None] = {"5 for, 5 against": (5, 5), "5 for": (5, 0), "all": None}
"""How many regions that raised and that lowered the logit; None: all, cut like the other maps."""
_HELP = "The regions with the largest weights: those whose hiding lowers the score most, and those that raise it most."


def shown(explanation: Explanation, state: ViewerState) -> tuple[Explanation, int]:
    """The explanation with the chosen regions alone, and how many percent of it to keep."""
    wanted = REGIONS[state.regions]
    if wanted is None or explanation.segments is None:
        return explanation, state.keep_top
    from cxrviewer.explainers.lime_regions import top_regions

    return top_regions(explanation, *wanted), 100


def control() -> None:
    """The chooser below LIME's pane."""
    st.selectbox(
        "Regions",
        list(REGIONS),
        key=bind("regions"),
        on_change=partial(keep, "regions"),
        format_func=lambda name: f"Regions: {name}",
        label_visibility="collapsed",
        help=_HELP,
        width=190,
    )
