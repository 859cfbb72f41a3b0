"""Charts in the colours of the reading room."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import streamlit as st

LINES = ("#58a6ff", "#e8804c", "#b8a44c", "#9aa7b4")


def show_lines(
    series: Sequence[tuple[str, Sequence[float], Sequence[float]]],
    *,
    x: str,
    y: str,
    key: str,
    height: int = 240,
    diagonal: bool = False,
) -> None:
    """Named curves over a common axis. diagonal: the line of chance, on a unit square."""
    figure = go.Figure()
    if diagonal:
        figure.add_scatter(
            x=[0, 1],
            y=[0, 1],
            mode="lines",
            line={"color": "#2b323c", "dash": "dot"},
            showlegend=False,
            hoverinfo="skip",
        )
    for index, (name, across, up) in enumerate(series):
        figure.add_scatter(
            x=list(across), y=list(up), name=name, mode="lines+markers" if len(across) < 40 else "lines",
            line={"color": LINES[index % len(LINES)], "width": 2}, marker={"size": 5},
        )  # fmt: skip
    axis = {"gridcolor": "#20262e", "zerolinecolor": "#2b323c", "linecolor": "#2b323c"}
    figure.update_layout(
        height=height,
        margin={"l": 48, "r": 12, "t": 28, "b": 36},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": "#e6edf3", "size": 12},
        xaxis={"title": x, **axis},
        yaxis={"title": y, **axis},
        legend={"orientation": "h", "y": 1.12, "x": 0},
        uirevision=key,
    )
    st.plotly_chart(figure, key=key, theme=None, config={"displayModeBar": False})
