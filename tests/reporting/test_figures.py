"""Figures: the curves that were given, a page that asks no server for anything, names that stay text."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cxrviewer.evaluation.curves import LabelCurve, label_curve
from cxrviewer.reporting.figures import (
    COLOURS,
    SHOWN_AT_FIRST,
    curves_of_card,
    precision_recall_figure,
    reliability_figure,
    roc_figure,
    write_curves,
)  # fmt: skip
from cxrviewer.reporting.rate import rate_figure


def made(name: str = "Mass", seed: int = 0) -> LabelCurve:
    rng = np.random.default_rng(seed)
    labels = (rng.random(300) < 0.3).astype(float)
    curve = label_curve(name, labels, np.clip(labels * 0.3 + rng.random(300) * 0.7, 0, 1), (0.71, 0.83))
    assert curve is not None
    return curve


def test_the_curves_are_drawn_as_given() -> None:
    curve = made()
    guide, drawn = roc_figure([curve]).data
    np.testing.assert_array_equal(drawn.x, curve.roc.x)
    np.testing.assert_array_equal(drawn.y, curve.roc.y)
    assert drawn.name == f"Mass {curve.auroc:.2f} (0.71 to 0.83)"
    assert list(guide.x) == list(guide.y) == [0, 1]
    (drawn,) = precision_recall_figure([curve]).data
    np.testing.assert_array_equal(drawn.x, curve.precision_recall.x)
    assert f"chance {curve.prevalence:.2f}" in drawn.name


def test_reliability_draws_a_marker_a_bin() -> None:
    curve = made()
    _, drawn = reliability_figure([curve]).data
    assert list(drawn.customdata) == [item.count for item in curve.reliability]
    assert list(drawn.y) == [item.observed for item in curve.reliability]
    assert max(drawn.marker.size) == 18


def test_many_labels_start_with_a_few() -> None:
    drawn = roc_figure([made(f"label {n}", n) for n in range(15)]).data[1:]
    assert [trace.visible for trace in drawn] == [True] * SHOWN_AT_FIRST + ["legendonly"] * (
        15 - SHOWN_AT_FIRST
    )
    assert len({trace.line.color for trace in drawn}) == 15 == len(COLOURS)


def test_the_page_stands_alone(tmp_path: Path) -> None:
    write_curves([made("A"), made("B", 1)], "model on nih, report", tmp_path / "roc.html")
    page = (tmp_path / "roc.html").read_text("utf-8")
    # plotly.js itself holds addresses of map servers as text; what would be fetched on opening is a src or an href.
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)\s*=", page)
    assert page.count("Plotly.newPlot") >= 3
    # One configuration a figure, each without the button that sends it to a server.
    assert page.count('"showSendToCloud": false') == 3
    assert "Research and teaching only" in page


def test_names_stay_text(tmp_path: Path) -> None:
    write_curves([made("<img src=x onerror=alert(1)>")], "<script>alert(1)</script>", tmp_path / "roc.html")
    page = (tmp_path / "roc.html").read_text("utf-8")
    assert "<script>alert(1)" not in page
    assert "<img src=x" not in page


def test_nothing_to_draw_is_said(tmp_path: Path) -> None:
    write_curves([], "model on covid", tmp_path / "roc.html")
    assert "nothing to draw" in (tmp_path / "roc.html").read_text("utf-8")


def test_a_card_gives_its_curves_back() -> None:
    part = {
        "labels": {"Mass": {"auroc": 0.8, "auroc_ci95": [0.7, 0.9], "average_precision": 0.5, "n_positive": 30,
                            "n_negative": 70}},
        "curves": {"Mass": {"roc": [[0, 0.2, 1], [0, 0.8, 1]], "precision_recall": [[1, 0], [0.3, 1]],
                            "reliability": [[0.0, 0.1, 50, 0.05, 0.1]]}},
    }  # fmt: skip
    (curve,) = curves_of_card(part)
    assert (curve.auroc, curve.auroc_ci95, curve.prevalence) == (0.8, (0.7, 0.9), pytest.approx(0.3))
    assert curve.roc.y.tolist() == [0, 0.8, 1]
    assert curve.reliability[0].observed == 0.1
    assert len(roc_figure([curve]).data) == 2


def test_the_suggested_rate_is_named_beside_its_line() -> None:
    """On a logarithmic axis an annotation stands at the exponent, a line at the value."""
    figure = rate_figure((1e-5, 1e-3, 1e-1), (0.7, 0.5, 0.9), (0.7, 0.6, 0.8), 1e-3)
    assert figure.layout.annotations[0].x == pytest.approx(-3)
    assert figure.layout.shapes[0].x0 == 1e-3
