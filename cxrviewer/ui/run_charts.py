"""Curves of one run, and of several on one chart."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cxrviewer.reporting.wording import metric_title
from cxrviewer.training.run_listing import RunStatus
from cxrviewer.ui import shell
from cxrviewer.ui.charts import show_lines
from cxrviewer.ui.room import RoomState
from cxrviewer.ui.runs import Curve, curves

_MEAN = "tune_auroc"
"""The mean over the heads: nothing new where there is one."""
_AT_FIRST = 4
"""Runs that are compared at first."""


def show_curves(run: str, found: Sequence[Curve]) -> None:
    """AUROCs on the left, losses on the right, the learning rate folded away."""
    rates = [_line(curve) for curve in found if "auroc" in curve.name and curve.name != _MEAN]
    rates = rates if len(rates) < 2 else [*rates, *(_line(curve) for curve in found if curve.name == _MEAN)]
    losses = [_line(curve) for curve in found if "loss" in curve.name]
    left, right = st.columns(2)
    with left:
        if rates:
            show_lines(rates, x="epoch", y="AUROC on the tune part", key=f"rates-{run}")
    with right:
        if losses:
            show_lines(losses, x="epoch", y="loss", key=f"losses-{run}")


def _line(curve: Curve) -> tuple[str, Sequence[float], Sequence[float]]:
    """Under its short name: the axis says of what it is."""
    return metric_title(curve.name).split(",")[0], curve.epochs, curve.values


def compare(runs: Sequence[RunStatus], room: RoomState) -> None:
    """Choose runs and a metric: one chart."""
    names = [run.id for run in runs]
    drawn = [run.id for run in runs if curves(run.path)]
    left, right = st.columns([2.4, 1])
    with left:
        if "compare-runs" not in st.session_state:
            st.session_state["compare-runs"] = [name for name in room.beside if name in names] or drawn[
                :_AT_FIRST
            ]
        chosen = st.multiselect("Runs", names, key="compare-runs", placeholder="choose two or more")
        room.beside = tuple(chosen)
    found = {run.id: {curve.name: curve for curve in curves(run.path)} for run in runs if run.id in chosen}
    every = dict.fromkeys(name for by_name in found.values() for name in by_name)
    metrics = sorted(every, key=lambda name: ("auroc" not in name, "loss" not in name))
    with right:
        metric = (
            st.selectbox("Metric", metrics, format_func=metric_title, key="compare-metric")
            if metrics
            else None
        )
    if metric is None:
        shell.quiet("None of these runs has ended an epoch yet.")
        return
    series = [
        (name, found[name][metric].epochs, found[name][metric].values)
        for name in chosen
        if metric in found[name]
    ]
    show_lines(series, x="epoch", y=metric_title(metric), key=f"compare-{metric}", height=420)
    silent = [name for name in chosen if metric not in found[name]]
    if silent:
        shell.quiet(f"Without this metric: {', '.join(silent)}.")
