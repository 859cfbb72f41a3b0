"""Figures of a PDF report, drawn as lines: sharp at any size. A small chart a label, so that none hides another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from reportlab.graphics.shapes import Circle, Drawing, Group, Line, PolyLine, String
from reportlab.lib.colors import HexColor
from reportlab.platypus import Flowable, Table

from cxrviewer.evaluation.curves import LabelCurve
from cxrviewer.reporting.report import Curves, Lines, Series
from cxrviewer.reporting.wording import label_name

INK, FAINT, RULE, ACCENT = HexColor("#1b2027"), HexColor("#5d6773"), HexColor("#c9d0d8"), HexColor("#1f6fd1")
FONT = "CXR"
SIDE, ACROSS = 108.0, 6
"""Points of a small chart's frame, and how many stand in a row."""

Floats = NDArray[np.float64]

_AXES = {
    "ROC": ("1 - specificity", "sensitivity"),
    "Precision and recall": ("recall", "precision"),
    "Reliability": ("probability", "observed"),
}


def curve_charts(block: Curves, width: float) -> Iterator[Flowable]:
    """One kind of curve, a square chart a label."""
    x, y = _AXES[block.kind]
    yield from _in_rows([_unit_chart(*_of(block.kind, curve), x, y) for curve in block.curves], ACROSS, width)


def _of(kind: str, curve: LabelCurve) -> tuple[str, Floats, Floats, bool]:
    """Name with its number, x, y, and whether points are to be marked."""
    name = label_name(curve.name)
    if kind == "ROC":
        return f"{name} {curve.auroc:.2f}", curve.roc.x, curve.roc.y, False
    if kind == "Reliability":
        points = np.array(
            [(item.predicted, item.observed) for item in curve.reliability], np.float64
        ).reshape(-1, 2)
        return name, points[:, 0], points[:, 1], True
    drawn = curve.precision_recall
    return f"{name} {curve.average_precision:.2f}", drawn.x, drawn.y, False


def _unit_chart(name: str, xs: Floats, ys: Floats, marked: bool, x: str, y: str) -> Drawing:
    left, bottom, size = 22.0, 22.0, SIDE - 22
    drawing = Drawing(SIDE + 8, SIDE + 14)
    drawing.add(_frame(left, bottom, size, size, ("0", "1"), ("0", "1"), x, y))
    if y != "precision":
        drawing.add(
            Line(
                left,
                bottom,
                left + size,
                bottom + size,
                strokeColor=RULE,
                strokeWidth=0.6,
                strokeDashArray=[2, 2],
            )
        )
    drawing.add(String(left, bottom + size + 4, name[:26], fontName=FONT, fontSize=6.5, fillColor=INK))
    _draw(drawing, left + xs * size, bottom + ys * size, marked)
    return drawing


def line_charts(block: Lines, width: float) -> Iterator[Flowable]:
    """A chart a line, each with a scale of its own."""
    yield from _in_rows([_line_chart(series, block.x) for series in block.series], 3, width)


def _line_chart(series: Series, x: str) -> Drawing:
    left, bottom, across, up = 40.0, 24.0, 190.0, 80.0
    drawing = Drawing(left + across + 10, bottom + up + 16)
    xs, ys = np.array(series.x, np.float64), np.array(series.y, np.float64)
    ends_x, ends_y = (float(xs.min()), float(xs.max())), (float(ys.min()), float(ys.max()))
    drawing.add(
        _frame(
            left,
            bottom,
            across,
            up,
            tuple(f"{v:g}" for v in ends_x),
            tuple(f"{v:.4g}" for v in ends_y),
            x,
            "",
        )
    )
    drawing.add(String(left, bottom + up + 4, series.name[:40], fontName=FONT, fontSize=7, fillColor=INK))
    _draw(drawing, left + _scaled(xs, ends_x) * across, bottom + _scaled(ys, ends_y) * up, len(xs) < 40)
    return drawing


def _scaled(values: Floats, ends: tuple[float, float]) -> Floats:
    low, high = ends
    return (values - low) / (high - low) if high > low else np.full(len(values), 0.5)


def _draw(drawing: Drawing, xs: Floats, ys: Floats, marked: bool) -> None:
    points = [float(value) for pair in zip(xs, ys, strict=True) for value in pair]
    if len(points) > 2:
        drawing.add(PolyLine(points, strokeColor=ACCENT, strokeWidth=0.9))
    if marked or len(points) == 2:
        for x, y in zip(xs, ys, strict=True):
            drawing.add(
                Circle(float(x), float(y), 1.4, fillColor=ACCENT, strokeColor=ACCENT, strokeWidth=0.1)
            )


def _frame(
    left: float,
    bottom: float,
    across: float,
    up: float,
    ends_x: Sequence[str],
    ends_y: Sequence[str],
    x: str,
    y: str,
) -> Group:
    """Two axes with the names of their ends."""
    group = Group(
        Line(left, bottom, left + across, bottom, strokeColor=FAINT, strokeWidth=0.5),
        Line(left, bottom, left, bottom + up, strokeColor=FAINT, strokeWidth=0.5),
        _text(left, bottom - 7, ends_x[0]),
        _text(left + across, bottom - 7, ends_x[1], "end"),
        _text(left + across / 2, bottom - 15, x, "middle"),
        _text(left - 2, bottom, ends_y[0], "end"),
        _text(left - 2, bottom + up - 5, ends_y[1], "end"),
    )
    if y:
        upright = Group(_text(0, 0, y, "middle"))
        upright.translate(left - 8, bottom + up / 2)
        upright.rotate(90)
        group.add(upright)
    return group


def _text(x: float, y: float, text: str, anchor: str = "start") -> String:
    return String(x, y, text, fontName=FONT, fontSize=5.5, fillColor=FAINT, textAnchor=anchor)


def _in_rows(drawings: Sequence[Drawing], across: int, width: float) -> Iterator[Flowable]:
    for first in range(0, len(drawings), across):
        row: list[Drawing | str] = list(drawings[first : first + across])
        row += [""] * (across - len(row))
        yield Table([row], colWidths=[width / across] * across, hAlign="LEFT")
