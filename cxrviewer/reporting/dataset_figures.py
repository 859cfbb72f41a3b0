"""Drawings of a data set: labels that stand together, ages, pictures a patient, and what is marked in a picture."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from cxrviewer.reporting.figures import LINE, QUIET, TEXT

BAR = "#4a6a8f"
"""Quiet: the bars are no finding."""
BOX = (232, 128, 76)
MASK = (76, 155, 232)
_MASK_SHARE = 0.3
"""Of the mask's colour over the picture."""

Edges = tuple[float, float, float, float]
"""Left, top, width, height of a box, as fractions of the picture."""


def _layout(height: int, **axes: Any) -> go.Layout:
    axis = {
        "gridcolor": "#20262e",
        "zerolinecolor": LINE,
        "linecolor": LINE,
        "color": QUIET,
        "title_font_size": 12,
    }
    return go.Layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": TEXT, "size": 12},
        bargap=0.15,
        xaxis=axis | {"automargin": True} | axes.get("x", {}),
        yaxis=axis | {"automargin": True} | axes.get("y", {}),
    )


def together_figure(labels: Sequence[str], together: NDArray[np.int64]) -> go.Figure:
    """Of the pictures with the label of a row, the share that also has the column's; `together` is (K, K) counts.

    The diagonal would be 1 everywhere and is left empty.
    """
    own = np.diag(together).astype(np.float64)
    share = np.divide(together, own[:, None], out=np.full(together.shape, np.nan), where=own[:, None] > 0)
    np.fill_diagonal(share, np.nan)
    names = [html.escape(name.replace("_", " ")) for name in labels]
    figure = go.Figure(
        go.Heatmap(
            z=share,
            x=names,
            y=names,
            customdata=together,
            zmin=0,
            zmax=1,
            colorscale="Cividis",
            colorbar={"thickness": 10, "outlinewidth": 0, "tickformat": ".1f"},
            hovertemplate="of %{y}, %{z:.2f} also %{x}<br>%{customdata} pictures<extra></extra>",
            hoverongaps=False,
        ),
        layout=_layout(130 + 20 * len(labels), y={"autorange": "reversed", "showgrid": False}),
    )
    figure.update_xaxes(showgrid=False, tickangle=-45)
    return figure


def age_figure(ages: Sequence[int], step: int) -> go.Figure:
    """Pictures by age; bar `i` begins at `i * step` years."""
    starts = [index * step for index in range(len(ages))]
    figure = go.Figure(
        go.Bar(
            x=[start + step / 2 for start in starts],
            y=list(ages),
            width=step * 0.9,
            marker_color=BAR,
            customdata=[f"{start} to {start + step - 1}" for start in starts],
            hovertemplate="%{customdata} years: %{y} pictures<extra></extra>",
        ),
        layout=_layout(170, x={"title": "age, years"}, y={"title": "pictures"}),
    )
    return figure


def tally_figure(counts: Mapping[str, int], title: str) -> go.Figure:
    """Named counts as bars from the left, the first on top."""
    names = [html.escape(name) for name in counts]
    figure = go.Figure(
        go.Bar(
            x=list(counts.values()),
            y=names,
            orientation="h",
            marker_color=BAR,
            text=[f"{count:,}" for count in counts.values()],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x}<extra></extra>",
        ),
        layout=_layout(
            40 + 24 * len(names),
            x={
                "title": title,
                "range": [0, 1.2 * max(counts.values(), default=1)],
                "showticklabels": False,
                "showgrid": False,
            },
            y={"autorange": "reversed", "type": "category"},
        ),
    )
    return figure


def marked_picture(
    grey: NDArray[np.uint8], boxes: Sequence[Edges], mask: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """(H, W) -> (H, W, 3) uint8 with the boxes' outlines and the mask as a tint."""
    rgb = np.repeat(grey[..., None], 3, axis=2)
    if mask is not None:
        tinted = (1 - _MASK_SHARE) * rgb + _MASK_SHARE * np.array(MASK, np.float32)
        rgb = np.where(mask[..., None], tinted, rgb).astype(np.uint8)
    image = Image.fromarray(rgb)
    draw = ImageDraw.Draw(image)
    height, width = grey.shape
    for left, top, across, down in boxes:
        corners = (left * width, top * height, (left + across) * width - 1, (top + down) * height - 1)
        if corners[2] > corners[0] and corners[3] > corners[1]:
            draw.rectangle(corners, outline=BOX, width=2)
    return np.asarray(image)
