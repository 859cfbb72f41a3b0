"""The learning-rate finder on the launch page: a sweep outside the script's way, its plot, and taking its word."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from cxrviewer.errors import CancelledError
from cxrviewer.reading.jobs import Cancelled, Progress
from cxrviewer.training.config import TrainingConfig
from cxrviewer.ui import resources, shell
from cxrviewer.ui.charts import show_plain
from cxrviewer.ui.datasets import waiting
from cxrviewer.ui.room import RoomState

if TYPE_CHECKING:
    from cxrviewer.training.rate_finder import RateFinding


def show_finder(config: TrainingConfig, room: RoomState) -> None:
    """The button, the progress, or the plot with the rate to take over."""
    jobs = resources.room_jobs()
    key = ("rate", config.model_copy(update={"id": "rate", "learning_rate": 1.0}).model_dump_json())
    job = jobs.get(key)
    if job is None or job.unwanted:
        if st.button(
            "Find a learning rate", help="A sweep of a hundred steps over this data (Smith, WACV 2017)."
        ):
            say = partial(jobs.said.__setitem__, key)
            jobs.other(key, lambda progress, stop: _found(config, progress, stop, say), room.owner)
            st.rerun()
    elif not job.finished:
        waiting(job, "Finding a rate.", lambda: jobs.drop(key, room.owner), lambda: jobs.said.get(key, ""))
    elif job.result is None:
        shell.note("No learning rate was found.", job.failure.message if job.failure else "", kind="caution")
        if st.button("Sweep again"):
            jobs.drop(key, room.owner)
            st.rerun()
    else:
        _show(job.result, room)


def _found(
    config: TrainingConfig, progress: Progress, cancelled: Cancelled, say: Callable[[str], None]
) -> RateFinding:
    from cxrviewer.training.rate_finder import find_rate

    def tell(share: float, words: str) -> None:
        progress(share)
        say(words)
        if cancelled():
            raise CancelledError("The sweep was stopped.")

    with tempfile.TemporaryDirectory(prefix="cxr-rate-") as folder:
        return find_rate(config, Path(folder), tell=tell)


def _show(found: RateFinding, room: RoomState) -> None:
    from cxrviewer.reporting.rate import rate_figure

    figure = rate_figure(found.rates, found.losses, found.smoothed, found.suggestion)
    figure.update_layout(
        height=260, title=None, margin={"l": 48, "r": 12, "t": 12, "b": 40}, showlegend=False
    )
    figure.update_layout(font_size=12).update_xaxes(title_font_size=12).update_yaxes(title_font_size=12)
    show_plain(figure, key="rate-figure")
    shell.quiet("Where the line is flat or ragged, no rate can be read from it: take a larger batch.")
    if found.suggestion is not None:
        rate = float(f"{found.suggestion:.1e}")
        if st.button(f"Take {rate:g}", help="Where the loss falls fastest."):
            room.recipe.put("learning_rate", rate)
            room.recipe.revision += 1
            st.rerun()
