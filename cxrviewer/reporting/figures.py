"""Plotly figures of how a model fared: ROC, precision and recall, reliability. Colours as in a reading room."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import plotly.io

from cxrviewer.evaluation.calibration_metrics import ReliabilityBin
from cxrviewer.evaluation.curves import Curve, LabelCurve
from cxrviewer.reporting.wording import label_name, number, with_ends

GROUND, PANEL, LINE = "#0e1116", "#161b22", "#2b323c"
TEXT, QUIET, ACCENT = "#e6edf3", "#9aa7b4", "#58a6ff"

COLOURS = (
    "#58a6ff", "#e8804c", "#b8a44c", "#7ad1c4", "#c69ae0", "#e28fae", "#8fb573", "#d8b48a", "#6f8fe0", "#b0bcc8",
    "#4fb3d9", "#d07f7f", "#9fd07a", "#a58be8", "#e0c15a",
)  # fmt: skip
"""Told apart on the dark ground, and none of them means good or bad; a legend names every curve."""

SHOWN_AT_FIRST = 6
"""Curves beyond these start hidden: a click in the legend shows them."""

CONFIG: dict[str, Any] = {
    "displaylogo": False,
    "responsive": True,
    # Plotly 7 draws a "Share chart" button that sends the figure to a server of its maker, unless told otherwise.
    "showSendToCloud": False,
}
"""For every figure that is shown, here and on the pages."""


def _layout(title: str, x: str, y: str) -> go.Layout:
    axis = {
        "range": [-0.01, 1.01], "gridcolor": LINE, "zerolinecolor": LINE, "linecolor": LINE, "tickformat": ".1f",
        "color": QUIET, "constrain": "domain",
    }  # fmt: skip
    return go.Layout(
        title={"text": title, "font": {"size": 16}},
        paper_bgcolor=GROUND,
        plot_bgcolor=PANEL,
        font={"color": TEXT, "family": "system-ui, sans-serif", "size": 13},
        xaxis=axis | {"title": x},
        yaxis=axis | {"title": y, "scaleanchor": "x"},
        legend={"bgcolor": GROUND, "font": {"size": 12}},
        margin={"l": 56, "r": 16, "t": 48, "b": 48},
        colorway=COLOURS,
        hoverlabel={"bgcolor": PANEL, "font": {"color": TEXT}},
    )


def _guide(x: Sequence[float], y: Sequence[float]) -> go.Scatter:
    """A quiet dashed line that stands for knowing nothing, or for perfect calibration."""
    return go.Scatter(
        x=x, y=y, mode="lines", line={"color": QUIET, "dash": "dot", "width": 1}, hoverinfo="skip", showlegend=False
    )  # fmt: skip


def _shown(position: int) -> bool | str:
    return True if position < SHOWN_AT_FIRST else "legendonly"


def _named(curve: LabelCurve, figures: str) -> str:
    return f"{html.escape(label_name(curve.name))} {figures}"


def _with_interval(curve: LabelCurve) -> str:
    ends = curve.auroc_ci95
    return with_ends({"auroc": curve.auroc, "auroc_ci95": ends}, "auroc")


def roc_figure(curves: Sequence[LabelCurve], title: str = "ROC") -> go.Figure:
    """Sensitivity over 1 - specificity; the legend gives each AUROC with its 95 % interval."""
    figure = go.Figure(layout=_layout(title, "1 - specificity", "sensitivity"))
    figure.add_trace(_guide([0, 1], [0, 1]))
    for position, curve in enumerate(curves):
        figure.add_trace(
            go.Scatter(
                x=curve.roc.x, y=curve.roc.y, mode="lines", name=_named(curve, _with_interval(curve)),
                line={"width": 2, "color": COLOURS[position % len(COLOURS)]}, visible=_shown(position),
                hovertemplate="sensitivity %{y:.2f}<br>1 - specificity %{x:.2f}",
            )
        )  # fmt: skip
    return figure


def precision_recall_figure(curves: Sequence[LabelCurve], title: str = "Precision and recall") -> go.Figure:
    """Precision over recall; the legend gives each average precision beside the prevalence, which is chance."""
    figure = go.Figure(layout=_layout(title, "recall (sensitivity)", "precision (PPV)"))
    for position, curve in enumerate(curves):
        text = f"{number(curve.average_precision)} (chance {number(curve.prevalence)})"
        figure.add_trace(
            go.Scatter(
                x=curve.precision_recall.x, y=curve.precision_recall.y, mode="lines", name=_named(curve, text),
                line={"width": 2, "color": COLOURS[position % len(COLOURS)], "shape": "hv"}, visible=_shown(position),
                hovertemplate="precision %{y:.2f}<br>recall %{x:.2f}",
            )
        )  # fmt: skip
    return figure


def reliability_figure(curves: Sequence[LabelCurve], title: str = "Reliability") -> go.Figure:
    """Observed share over mean probability, a marker a bin, its area by the pictures in it; the diagonal is ideal."""
    figure = go.Figure(layout=_layout(title, "probability", "observed share"))
    figure.add_trace(_guide([0, 1], [0, 1]))
    for position, curve in enumerate(curves):
        colour = COLOURS[position % len(COLOURS)]
        figure.add_trace(
            go.Scatter(
                x=[item.predicted for item in curve.reliability], y=[item.observed for item in curve.reliability],
                mode="lines+markers", name=html.escape(label_name(curve.name)), visible=_shown(position),
                line={"width": 1, "color": colour}, marker={"color": colour, "size": _sizes(curve.reliability)},
                customdata=[item.count for item in curve.reliability],
                hovertemplate="said %{x:.2f}, was %{y:.2f}<br>%{customdata} pictures",
            )
        )  # fmt: skip
    return figure


def _sizes(bins: Sequence[ReliabilityBin]) -> list[float]:
    most = max((item.count for item in bins), default=1)
    return [6 + 12 * (item.count / most) ** 0.5 for item in bins]


FIGURES = {
    "ROC": roc_figure,
    "Precision and recall": precision_recall_figure,
    "Reliability": reliability_figure,
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>
body {{ background: {ground}; color: {text}; font: 14px/1.5 system-ui, sans-serif; }}
body {{ margin: 24px auto; max-width: 1000px; }}
p {{ color: {quiet}; }} h1 {{ font-size: 20px; font-weight: 600; }}
</style></head><body>
<h1>{title}</h1>
<p>Research and teaching only. Curves beyond the first {shown} are in the legend: click one to show it.</p>
{figures}
</body></html>
"""


def write_curves(curves: Sequence[LabelCurve], title: str, path: Path) -> None:
    """One page that stands alone: it holds its own copy of the drawing program and asks no server for anything."""
    parts = [
        plotly.io.to_html(
            draw(curves, name), full_html=False, include_plotlyjs=index == 0, default_height="640px",
            config=CONFIG,
        )
        for index, (name, draw) in enumerate(FIGURES.items())
    ]  # fmt: skip
    figures = (
        "\n".join(parts) if curves else "<p>No label has both positives and negatives: nothing to draw.</p>"
    )
    page = _PAGE.format(
        title=html.escape(title), ground=GROUND, text=TEXT, quiet=QUIET, shown=SHOWN_AT_FIRST, figures=figures
    )
    path.write_text(page, encoding="utf-8")


def curves_of_card(part: Mapping[str, Any]) -> tuple[LabelCurve, ...]:
    """The curves that a card keeps of one data set (`card.metrics["report"][name]`), for the registry's page."""
    return tuple(
        _curve_of_card(name, part["labels"][name], kept)
        for name, kept in part["curves"].items()
    )  # fmt: skip


def _curve(points: Sequence[Sequence[float]]) -> Curve:
    return Curve(np.asarray(points[0], np.float64), np.asarray(points[1], np.float64))


def _curve_of_card(name: str, found: Mapping[str, Any], kept: Mapping[str, Any]) -> LabelCurve:
    ends = found["auroc_ci95"]
    total = found["n_positive"] + found["n_negative"]
    return LabelCurve(
        name=name,
        auroc=found["auroc"],
        auroc_ci95=(ends[0], ends[1]) if ends else None,
        average_precision=found["average_precision"],
        prevalence=found["n_positive"] / total,
        roc=_curve(kept["roc"]),
        precision_recall=_curve(kept["precision_recall"]),
        reliability=tuple(ReliabilityBin(*values) for values in kept["reliability"]),
    )
