"""Charts in the colours of the reading room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from cxrviewer.reporting.figures import COLOURS, CONFIG

_FEW = 12
"""Epochs up to which each has its own tick."""
FAMILY = "Source Sans, sans-serif"
"""The family that comes with Streamlit."""
WIDTH = 820
"""Pixels of a figure with its legend; wider, the legend stands far from its curves."""


def show_lines(
    series: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    *,
    x: str,
    y: str,
    key: str,
    height: int = 240,
) -> None:
    """Named curves over a common axis."""
    figure = go.Figure()
    for index, (name, across, up) in enumerate(series):
        figure.add_scatter(
            x=list(across), y=list(up), name=name, mode="lines+markers" if len(across) < 40 else "lines",
            line={"color": COLOURS[index % len(COLOURS)], "width": 2}, marker={"size": 5},
        )  # fmt: skip
    axis = {"title_font_size": 12, "gridcolor": "#20262e", "zerolinecolor": "#2b323c", "linecolor": "#2b323c"}
    last = max((max(across, default=0.0) for _, across, _ in series), default=0.0)
    whole: dict[str, Any] = {"dtick": 1} if x == "epoch" and last <= _FEW else {}
    if x == "epoch":
        whole["range"] = [0.5, last + 0.5]
    figure.update_layout(
        height=height,
        margin={"l": 52, "r": 12, "t": 32, "b": 36},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#e6edf3", "size": 12, "family": FAMILY},
        xaxis={"title": x, **axis, **whole},
        yaxis={"title": {"text": y, "standoff": 8}, "automargin": True, **axis, **_room(series)},
        legend={"orientation": "h", "y": 1.0, "yanchor": "bottom", "x": 0, "font": {"size": 12}},
        uirevision=key,
    )
    st.plotly_chart(figure, key=key, theme=None, config=CONFIG | {"displayModeBar": False})


def _room(series: Sequence[tuple[str, Sequence[float], Sequence[float]]]) -> dict[str, object]:
    """A range for values that are all alike, as after the first epoch: the program would draw from -1 to 1."""
    values = [value for _, _, up in series for value in up]
    if not values or max(values) > min(values):
        return {}
    around = max(0.1 * abs(values[0]), 1e-3)
    return {"range": [values[0] - around, values[0] + around]}


def show_figure(figure: go.Figure, *, key: str, height: int = 400) -> None:
    """A figure of the reporting room, in the page's own type and on its ground, no wider than its legend needs.

    Without its title: what was chosen above it says the same.
    """
    figure.update_layout(
        height=height,
        font={"family": FAMILY, "size": 12},
        paper_bgcolor="rgba(0,0,0,0)",
        title=None,
        margin_t=12,
    )
    figure.update_xaxes(title_font_size=12)
    figure.update_yaxes(title_font_size=12)
    st.plotly_chart(figure, key=key, theme=None, width=WIDTH, config=CONFIG | {"displayModeBar": False})


def show_plain(figure: go.Figure, *, key: str) -> None:
    """A figure as wide as its column, at its own height."""
    figure.update_layout(font_family=FAMILY)
    st.plotly_chart(figure, key=key, theme=None, config=CONFIG | {"displayModeBar": False})
