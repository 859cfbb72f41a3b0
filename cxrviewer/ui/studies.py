"""The worklist's rows: a study a line, with its last answer."""

from __future__ import annotations

import streamlit as st

from cxrviewer.archive import Order, ResultSummary, StudyFilter, StudyRow
from cxrviewer.ui import resources, words
from cxrviewer.ui.rows import Cell, Column, Kind, Row, show_rows
from cxrviewer.ui.state import ViewerState
from cxrviewer.ui.viewport.media import address

PAGE = 50

SHOW: dict[str, StudyFilter] = {
    "all": StudyFilter(),
    "pneumonia at or above threshold": StudyFilter(positive=True),
    "below threshold": StudyFilter(positive=False),
    "out of scope": StudyFilter(in_scope=False),
}
"""What the second filter offers."""

_COLUMNS = (
    Column("48px"),
    Column("minmax(90px, 0.9fr)", "Patient"),
    Column("minmax(56px, 0.4fr)", "Age, sex"),
    Column("minmax(48px, 0.4fr)", "View"),
    Column("minmax(84px, 0.6fr)", "Study date"),
    Column("64px", "Pneumonia", "right"),
    Column("minmax(70px, 0.6fr)"),
    Column("46px"),
    Column("minmax(140px, 0.9fr)", "Top finding"),
    Column("minmax(240px, 2.6fr)", "Scope"),
    Column("minmax(90px, 0.7fr)", "Imported", "right"),
)


def wanted(state: ViewerState) -> StudyFilter:
    """The filter that the line above the list asks for."""
    shown = SHOW.get(state.show, StudyFilter())
    return StudyFilter(
        text=state.text, in_scope=shown.in_scope, positive=shown.positive, order=Order(state.order)
    )


def show_studies(rows: tuple[StudyRow, ...], state: ViewerState) -> None:
    """The list; choosing a row opens it."""
    zone = st.context.timezone
    chosen = show_rows(
        "Studies", _COLUMNS, [_row(row, state.names_shown, zone) for row in rows], key="studies"
    )
    for row in rows:
        if row.id == chosen:
            state.open(row.id, row.digest)
            st.switch_page("pages/reading/viewer.py")


def _row(row: StudyRow, names_shown: bool, zone: str | None) -> Row:
    meta, picture = row.metadata, resources.thumbnail(row.digest)
    url = address(picture, "image/png", f"thumbnail-{row.digest}") if picture else ""
    name = words.patient(row.identity, names_shown)
    files = f"{row.instances} pictures" if row.instances > 1 else ""
    frames = f"{row.frames} frames" if row.frames > 1 else ""
    return Row(
        id=row.id,
        label=f"Open the study of {name}",
        cells=(
            Cell("", Kind.IMAGE, url=url),
            Cell(name, sub=files or frames or _file(row.source_name), title=row.source_name),
            Cell(words.age_sex(meta) or "–"),
            Cell(meta.view.value if meta.view else "–"),
            Cell(meta.study_date or "–"),
            *_answer(row.result),
            Cell(words.moment(row.imported, zone), quiet=True),
        ),
    )


def _file(source: str) -> str:
    """A member of an archive by its own name: what stands before it is the same for a whole batch."""
    return source.rsplit(".zip!", 1)[-1] or source


def _answer(result: ResultSummary | None) -> tuple[Cell, ...]:
    """Number, bar, word, top finding and scope; dashes where no score was given."""
    if result is None:
        return (Cell("–"), Cell(""), Cell(""), Cell("–"), Cell("No score yet", quiet=True))
    if not result.in_scope:
        reasons = " ".join(result.reasons)
        return (
            Cell("–"),
            Cell(""),
            Cell(""),
            Cell("–"),
            Cell("Out of scope, no score", sub=reasons, title=reasons, lines=2),
        )
    band = result.band.value if result.band else ""
    value = result.pneumonia
    number = words.probability(value)
    bar = Cell("") if value is None else Cell(f"Pneumonia {number} {band}", Kind.BAR, value=value, band=band)
    top = (
        f"{words.name_label(result.top_label)} {words.probability(result.top_probability)}"
        if result.top_label
        else "–"
    )
    cautions = " ".join(result.cautions)
    scope = (
        Cell("In scope, with a caution", sub=cautions, title=cautions, lines=2)
        if cautions
        else Cell("In scope", quiet=True)
    )
    return (Cell(number), bar, Cell(band, band=band), Cell(top), scope)
