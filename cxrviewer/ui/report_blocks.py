"""A report's sections on a page: the same value that is written as HTML and as a PDF."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from cxrviewer.evaluation.explorer import Explorer
from cxrviewer.reporting.report import Block, Curves, Lines, Paragraph, Section, Sliders, Table
from cxrviewer.reporting.wording import label_name, number
from cxrviewer.ui import shell
from cxrviewer.ui.charts import show_figure, show_lines
from cxrviewer.ui.tables import show_table


def show_section(section: Section, key: str) -> None:
    """Heading and blocks; the curves of a section share one chooser, so that one figure is drawn and not three."""
    shell.heading(section.title)
    curves = [block for block in section.blocks if isinstance(block, Curves)]
    for place, block in enumerate(section.blocks):
        if isinstance(block, Curves):
            if block is curves[0]:
                _show_curves(curves, f"{key}-curves")
        else:
            _BLOCKS[type(block)](block, f"{key}-{place}")


def _paragraph(block: Paragraph, _key: str) -> None:
    if block.kind == "caution":
        shell.note(block.text, kind="caution")
    else:
        shell.quiet(block.text)


def _table(block: Table, key: str) -> None:
    if block.folded:
        with st.expander(f"{block.caption or block.columns[0]}: {len(block.rows)} lines"):
            _grid(block, key)
        return
    if block.caption:
        shell.quiet(block.caption)
    _grid(block, key)


def _grid(block: Table, key: str) -> None:
    columns = {name: [row[k] for row in block.rows] for k, name in enumerate(block.columns)}
    show_table(columns, key=key)


def _lines(block: Lines, key: str) -> None:
    for number_, series in enumerate(block.series):
        show_lines([(series.name, series.x, series.y)], x=block.x, y="", key=f"{key}-{number_}", height=180)


def _show_curves(curves: list[Curves], key: str) -> None:
    from cxrviewer.reporting.figures import FIGURES

    kinds = {block.kind: block for block in curves}
    kind = st.segmented_control(
        "Curves", list(kinds), default=next(iter(kinds)), key=key, label_visibility="collapsed"
    )
    if kind is not None:
        show_figure(FIGURES[kind](kinds[kind].curves, kind), key=f"{key}-figure")


@st.fragment
def _sliders(block: Sliders, key: str) -> None:
    """Move the threshold, see the counts change: this part of the page alone is drawn again."""
    shell.heading("Operating points", "move the threshold and see what it costs")
    pick, slide, share = st.columns([1.2, 3, 1], gap="medium", vertical_alignment="bottom")
    with pick:
        names = list(block.points)
        first = next((place for place, one in enumerate(names) if block.own.get(one) is not None), 0)
        name = st.selectbox("Label", names, first, format_func=label_name, key=f"{key}-label")
    points, own = block.points[name], block.own.get(name)
    with slide:
        options = [float(value) for value in points.thresholds]
        at = st.select_slider(
            "Threshold on the probability", options, options[points.start(own)],
            format_func=lambda value: f"{value:.3f}", key=f"{key}-{name}-threshold",
        )  # fmt: skip
    with share:
        here = 100 * points.n_positive / (points.n_positive + points.n_negative)
        ill = st.number_input("Ill, in %", 0.0, 100.0, round(here, 1), 0.5, key=f"{key}-{name}-ill")
    _counts(points, points.nearest(at), ill / 100, own)


def _counts(points: Explorer, at: int, prevalence: float, own: float | None) -> None:
    tp, fp = int(points.tp[at]), int(points.fp[at])
    fn, tn = points.n_positive - tp, points.n_negative - fp
    ppv, npv = (values[at] for values in points.predictive(prevalence))
    table, words = st.columns([1, 1], gap="medium")
    with table:
        show_table(
            {
                "": ["ill", "well"],
                "called positive": [tp, fp],
                "called negative": [fn, tn],
                "of": [points.n_positive, points.n_negative],
            }
        )
    with words:
        shell.quiet(
            f"Sensitivity {points.sensitivity[at]:.2f}, specificity {points.specificity[at]:.2f}.",
            f"Where {100 * prevalence:.1f} % are ill: PPV {_share(ppv)}, NPV {_share(npv)}.",
            "The model has no operating point for this label: too few positives to choose one by."
            if own is None
            else f"The model's own threshold is {own:.3f}.",
        )


def _share(value: float) -> str:
    return number(None if value != value else float(value))


_BLOCKS: dict[type[Block], Callable[[Any, str], None]] = {
    Paragraph: _paragraph,
    Table: _table,
    Lines: _lines,
    Sliders: _sliders,
}
