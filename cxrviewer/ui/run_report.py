"""A finished run as a report: the same sections that its HTML and PDF have, and the way into service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from cxrviewer.errors import CxrError
from cxrviewer.reporting.report import Lines, Report, Section
from cxrviewer.training.run_listing import RunStatus
from cxrviewer.ui import resources, shell
from cxrviewer.ui.promotion import ASKED, show_comparison, show_undo
from cxrviewer.ui.report_blocks import show_section

if TYPE_CHECKING:
    from cxrviewer.classifiers.card import Card


def report_or_reason(run: RunStatus) -> None:
    """The report, or why there is none."""
    try:
        _show(run)
    except CxrError as error:
        shell.problem(error)


def _show(run: RunStatus) -> None:
    """The way into service, the downloads, then the sections; how training went stands above them, live."""
    from cxrviewer.classifiers.card import read_card
    from cxrviewer.classifiers.registry import bundle_below
    from cxrviewer.reporting.run_report import read_report

    report = read_report(run.path)
    _into_service(run, read_card(bundle_below(run.path)))
    for number, section in enumerate(report.sections):
        kept = Section(
            section.title, tuple(block for block in section.blocks if not isinstance(block, Lines))
        )
        if kept.blocks:
            show_section(kept, f"report-{run.id}-{number}")
    _downloads(run, report)


def _into_service(run: RunStatus, card: Card) -> None:
    """That it serves, with the way back; or the comparison with the model that does, and then the question."""
    models = resources.models()
    serving = next((model for model in models if model.serving and model.card is not None), None)
    if (
        serving is not None
        and serving.card is not None
        and serving.card.weights_sha256 == card.weights_sha256
    ):
        shell.note("This run's model answers the studies that are opened now.")
        show_undo(models)
        return
    if st.button(
        "Take it into service", type="primary", help="The comparison with the serving model comes first."
    ):
        st.session_state[ASKED] = card.id
    if st.session_state.get(ASKED) == card.id:
        show_comparison(card, run.path, models)


def _downloads(run: RunStatus, report: Report) -> None:
    """The report to take away, drawn when it is asked for."""
    with st.container(horizontal=True):
        st.download_button(
            "Report (HTML)", lambda: _page(run.path, report), f"{run.id}.html", "text/html", on_click="ignore",
        )  # fmt: skip
        st.download_button(
            "Report (PDF)", lambda: _paper(run.path, report), f"{run.id}.pdf", "application/pdf", on_click="ignore",
        )  # fmt: skip


def _page(run: Path, report: Report) -> bytes:
    from cxrviewer.reporting.html_report import html_of

    file = run / "report.html"
    return file.read_bytes() if file.is_file() else html_of(report).encode()


def _paper(run: Path, report: Report) -> bytes:
    from cxrviewer.reporting.pdf_report import pdf_of

    file = run / "report.pdf"
    return file.read_bytes() if file.is_file() else pdf_of(report)
