"""The frame of every screen: style, messages, and a sentence in place of a traceback."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import streamlit as st

from cxrviewer.archive import StudyRow
from cxrviewer.errors import CxrError
from cxrviewer.ui import resources, words

_STYLE = """<style>
[data-testid="stMainBlockContainer"] { padding: 3.4rem 1.5rem 1rem; max-width: none; }
[data-testid="stVerticalBlock"] { gap: 0.5rem; }
[data-testid="stHeader"] { background: #0e1116; border-bottom: 1px solid #2b323c; height: 2.9rem; min-height: 2.9rem; }
.cxr-note { padding: 0.35rem 0.7rem; border-left: 3px solid #2b323c; background: #161b22; font-size: 13px;
  line-height: 19px; border-radius: 2px; }
.cxr-note.caution { border-left-color: #b8a44c; }
.cxr-note.error { border-left-color: #e8804c; }
.cxr-note b { font-weight: 600; }
.cxr-quiet { color: #9aa7b4; font-size: 12px; line-height: 17px; font-variant-numeric: tabular-nums; }
.cxr-title { display: flex; gap: 1.1rem; align-items: baseline; font-size: 14px; font-variant-numeric: tabular-nums;
  flex-wrap: wrap; }
.cxr-title b { font-weight: 600; }
.cxr-title span { color: #9aa7b4; }
.cxr-head { font-size: 15px; font-weight: 600; }
.st-key-drop-large [data-testid="stFileUploaderDropzone"] { min-height: 15rem; justify-content: center; }
.st-key-drop-small [data-testid="stFileUploaderDropzone"] { min-height: 0; padding: 0.35rem 0.7rem; }
</style>"""


@contextmanager
def screen() -> Iterator[None]:
    """Everything that a page draws goes inside. A CxrError becomes a message with its remedy."""
    st.html(_STYLE)
    try:
        yield
    except CxrError as error:
        problem(error)
    resources.warm()


def problem(error: CxrError) -> None:
    """What is wrong, and what to do next."""
    note(error.message, error.remedy, kind="error")


def note(message: str, more: str = "", kind: str = "") -> None:
    """One or two sentences. Any text is safe: it is escaped, and Markdown is not read. kind: caution, error or none."""
    rest = f" {html.escape(more)}" if more else ""
    st.html(f'<div class="cxr-note {kind}" role="status"><b>{html.escape(message)}</b>{rest}</div>')


def quiet(*lines: str) -> None:
    """Small print, a line each, as plain text."""
    st.html('<div class="cxr-quiet">' + "<br>".join(html.escape(line) for line in lines) + "</div>")


def title(parts: tuple[str, ...]) -> None:
    """The line that heads a screen; the first part stands out. Plain text."""
    first, *rest = (html.escape(part) for part in parts)
    st.html(
        f'<div class="cxr-title"><b>{first}</b>' + "".join(f"<span>{part}</span>" for part in rest) + "</div>"
    )


def heading(text: str) -> None:
    """A heading inside a screen, as plain text."""
    st.html(f'<div class="cxr-head" role="heading" aria-level="2">{html.escape(text)}</div>')


def intended_use(model_id: str = "", weights_sha256: str = "") -> None:
    """The calm line beside every score: which model, what for, and its limits."""
    if not model_id:
        quiet(words.INTENDED_USE)
        return
    line = resources.model_line(model_id, weights_sha256)
    quiet(f"Scores by {line.id} ({line.weights[:8]}). {words.INTENDED_USE} Limits: {' '.join(line.limits)}")


def models_of(rows: Sequence[StudyRow]) -> None:
    """The line of every model that gave a score in a list; the plain one where there is none."""
    given = {(row.result.model_id, row.result.weights_sha256) for row in rows if row.result is not None}
    for model_id, weights in sorted(given):
        intended_use(model_id, weights)
    if not given:
        intended_use()
