"""The frame of every screen: style, messages, and a sentence in place of a traceback."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

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
.cxr-scrolls { max-height: 7.1rem; overflow-y: auto; }
.cxr-title { display: flex; gap: 1.1rem; align-items: baseline; font-size: 14px; font-variant-numeric: tabular-nums;
  flex-wrap: wrap; }
.cxr-title b { font-weight: 600; }
.cxr-title span { color: #9aa7b4; }
.cxr-head { font-size: 15px; font-weight: 600; }
.cxr-head span { margin-left: 0.6rem; font-size: 12px; font-weight: 400; color: #9aa7b4; }
button[kind="primary"], button[kind="primary"]:hover, button[kind="primary"]:active, [data-tag] { color: #0e1116; }
button[kind="primary"]:hover, button[kind="primary"]:active { background: #79b8ff; border-color: #79b8ff; }
button[kind="primary"]:disabled { color: #9aa7b4; }
[data-tag] button { color: inherit; }
button[kind="tertiary"], button[kind="tertiary"]:hover, button[kind="tertiary"]:active,
button[kind="tertiary"][aria-expanded="true"] { color: #58a6ff; }
button[kind="tertiary"]:hover { text-decoration: underline; text-underline-offset: 3px; }
.st-key-model-box { padding: 0.5rem 0.7rem; gap: 0.3rem; }
.st-key-reading .stSlider { padding: 0 0.3rem; }
.st-key-drop-large { padding-top: 12vh; align-items: center; }
.st-key-drop-large [data-testid="stFileUploader"] { max-width: 46rem; margin: 0 auto; }
.st-key-drop-large [data-testid="stWidgetLabel"] { justify-content: center; width: 100%; padding-bottom: 0.8rem; }
.st-key-drop-large [data-testid="stWidgetLabel"] p { font-size: 1.15rem; }
.st-key-drop-large [data-testid="stFileUploaderDropzone"] { min-height: 15rem; border: 1px dashed #3d4753;
  display: flex;
  flex-direction: column; align-items: center; justify-content: center; gap: 0.6rem; }
.st-key-drop-large [data-testid="stFileUploaderDropzone"] > * { flex: 0 0 auto; height: auto; min-height: 0; }
.st-key-drop-small [data-testid="stFileUploaderDropzone"] { min-height: 0; padding: 0.2rem 0.5rem;
  border: 1px dashed #2b323c; background: transparent; }
.st-key-drop-small [data-testid="stFileUploaderDropzone"] { display: flex; align-items: center; gap: 0.8rem; }
.st-key-drop-small [data-testid="stFileUploaderDropzone"] > * { flex: 0 0 auto; }
.st-key-drop-small [data-testid="stFileUploaderDropzone"]::after {
  content: "Drop DICOM, JPEG, PNG or a ZIP of them anywhere on this line"; color: #9aa7b4; font-size: 13px; }
.st-key-viewer { --cxr-film: max(360px, calc(100vh - 288px)); --cxr-map: max(200px, 25vh); }
.st-key-viewer:has(.st-key-maps-asked) { --cxr-film: max(300px, calc(75vh - 282px)); }
.st-key-viewer > * > [data-testid="stHorizontalBlock"] > :first-child { flex: 1 1 0; }
.st-key-viewer > * > [data-testid="stHorizontalBlock"] > :last-child { flex: 0 0 335px; min-width: 0; }
@media (min-width: 1700px) {
  .st-key-viewer, .st-key-viewer:has(.st-key-maps-asked) {
    --cxr-film: max(360px, calc(100vh - 230px)); --cxr-map: 320px; }
  .st-key-reading { flex-direction: row; gap: 1rem; }
  .st-key-reading > :has(> .st-key-film) { flex: 1 1 42%; min-width: 0; }
  .st-key-reading > :has(> .st-key-maps) { flex: 1 1 58%; min-width: 0; }
}
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
    text = f"<b>{html.escape(message)}</b> {html.escape(more)}" if more else html.escape(message)
    st.html(f'<div class="cxr-note {kind}" role="status">{text}</div>')


def quiet(*lines: str, scrolls: bool = False) -> None:
    """Small print, a line each, as plain text. scrolls: at most seven lines high."""
    kind = "cxr-quiet cxr-scrolls" if scrolls else "cxr-quiet"
    focus = ' tabindex="0"' if scrolls else ""
    st.html(f'<div class="{kind}"{focus}>' + "<br>".join(html.escape(line) for line in lines) + "</div>")


def title(parts: tuple[str, ...]) -> None:
    """The line that heads a screen; the first part stands out. Plain text."""
    first, *rest = (html.escape(part) for part in parts)
    st.html(
        f'<div class="cxr-title"><b>{first}</b>' + "".join(f"<span>{part}</span>" for part in rest) + "</div>"
    )


def heading(text: str, more: str = "") -> None:
    """A heading inside a screen and what stands quietly beside it, as plain text."""
    beside = f"<span>{html.escape(more)}</span>" if more else ""
    st.html(f'<div class="cxr-head" role="heading" aria-level="2">{html.escape(text)}{beside}</div>')


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


@contextmanager
def two_columns() -> Iterator[tuple[DeltaGenerator, DeltaGenerator]]:
    """The picture's side and the findings' panel. On a wide screen the first lays its parts side by side."""
    with st.container(key="viewer"):
        left, right = st.columns([2.9, 1.1], gap="small")
        with left:
            reading = st.container(key="reading")
        yield reading, right
