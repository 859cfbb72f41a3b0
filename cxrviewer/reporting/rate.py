"""The learning-rate finder's plot: the loss over the rate, and where it falls fastest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import plotly.graph_objects as go
import plotly.io

from cxrviewer.reporting.figures import ACCENT, CONFIG, GROUND, LINE, PANEL, QUIET, TEXT


def rate_figure(
    rates: Sequence[float], losses: Sequence[float], smoothed: Sequence[float], suggestion: float | None
) -> go.Figure:
    """rates, losses, smoothed: one value a step of the sweep, rates growing. suggestion: a rate to mark."""
    axis = {"gridcolor": LINE, "zerolinecolor": LINE, "linecolor": LINE, "color": QUIET}
    figure = go.Figure(
        layout=go.Layout(
            title={"text": "Loss over the learning rate", "font": {"size": 16}},
            paper_bgcolor=GROUND,
            plot_bgcolor=PANEL,
            font={"color": TEXT, "family": "system-ui, sans-serif", "size": 13},
            xaxis=axis | {"title": "learning rate", "type": "log", "exponentformat": "power"},
            yaxis=axis | {"title": "loss", "range": _span(smoothed)},
            legend={"bgcolor": GROUND},
            margin={"l": 56, "r": 16, "t": 48, "b": 48},
        )
    )
    figure.add_trace(
        go.Scatter(x=rates, y=losses, mode="markers", name="each step", marker={"color": QUIET, "size": 4})
    )
    figure.add_trace(go.Scatter(x=rates, y=smoothed, mode="lines", name="smoothed", line={"color": ACCENT}))
    if suggestion is not None:
        figure.add_vline(x=suggestion, line={"color": TEXT, "dash": "dot"})
        # On a logarithmic axis an annotation's place is the exponent; a line's is the value.
        figure.add_annotation(
            x=math.log10(suggestion), y=1, yref="paper", xanchor="left", yanchor="top", showarrow=False,
            text=f"suggestion {suggestion:.1e}",
        )  # fmt: skip
    return figure


def _span(smoothed: Sequence[float]) -> list[float]:
    """The end of a sweep leaves for infinity; what matters is around the lowest."""
    low, first = min(smoothed), smoothed[0]
    return [low - 0.2 * abs(first - low) - 0.01, first + 1.5 * abs(first - low) + 0.05]


def write_rate(figure: go.Figure, path: Path) -> None:
    """One page that stands alone: it holds its own copy of the drawing program and asks no server for anything."""
    path.write_text(
        plotly.io.to_html(figure, include_plotlyjs=True, default_height="560px", config=CONFIG),
        encoding="utf-8",
    )
