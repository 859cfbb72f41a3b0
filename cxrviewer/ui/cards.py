"""The models' page in parts: the list, and one model's card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import streamlit as st

from cxrviewer.reporting.part_report import part_section
from cxrviewer.settings import get_settings
from cxrviewer.ui import shell, words
from cxrviewer.ui.candidates import finished_runs
from cxrviewer.ui.getting import show_getting
from cxrviewer.ui.promotion import show_choice, show_runs, show_undo
from cxrviewer.ui.report_blocks import show_section
from cxrviewer.ui.rows import Cell, Column, Row, show_rows
from cxrviewer.ui.tables import show_table

if TYPE_CHECKING:
    from cxrviewer.classifiers.card import Card
    from cxrviewer.classifiers.registry import ModelInfo

_COLUMNS = (
    Column("minmax(180px, 1.2fr)", "Model"),
    Column("90px", "Weights"),
    Column("120px", "Task"),
    Column("110px", "Made"),
    Column("110px", "Comes"),
    Column("minmax(160px, 1.6fr)", "State"),
)


def show_models(models: Sequence[ModelInfo]) -> None:
    """The list, and the card of the chosen one, at first the serving one's."""
    if not models:
        shell.note("No model is installed.", words.GET_A_MODEL)
        show_runs(finished_runs(get_settings().runs_dir, ()), ())
        show_getting()
        return
    first = next((model.id for model in models if model.serving), models[0].id)
    chosen = st.session_state.get("model") or first
    clicked = show_rows("Models", _COLUMNS, [_row(model, chosen) for model in models], key="model-list")
    if clicked and clicked != chosen:
        st.session_state["model"] = clicked
        st.rerun()
    runs = finished_runs(get_settings().runs_dir, models)
    show_undo(models)
    show_runs(runs, models)
    show_getting()
    model = next((model for model in models if model.id == chosen), models[0])
    if model.card is None:
        shell.note(f"{model.id} cannot be used.", model.problem, kind="error")
        return
    card = model.card
    shell.title((card.id, f"weights {card.weights_sha256[:16]}", f"made {card.created[:10]}", card.licence))
    show_choice(model, runs, models)
    _show(card)


def _row(model: ModelInfo, chosen: str) -> Row:
    card = model.card
    state = model.problem or ("serves" if model.serving else "at hand")
    return Row(
        model.id,
        f"Show the card of {model.id}",
        (
            Cell(model.id, sub=card.title if card else ""),
            Cell(card.weights_sha256[:8] if card else "–"),
            Cell(card.task if card else "–"),
            Cell(card.created[:10] if card else "–"),
            Cell("with the program" if model.shipped else "from here"),
            Cell(state, title=state, quiet=not model.serving),
        ),
        selected=model.id == chosen,
    )


def _show(card: Card) -> None:
    use, data = st.columns([2, 3], gap="medium")
    with use:
        shell.heading("Intended use and limits")
        shell.note(card.intended_use, words.INTENDED_USE)
        for limit in card.limits:
            shell.note(limit, kind="caution")
        spec, network = card.input.spec(), card.architecture
        shell.quiet(f"{network.backbone}, {spec.words()}")
    with data:
        shell.heading("Trained on")
        _table(
            {
                "Data": [row.name for row in card.training_data],
                "Images": [row.n_images for row in card.training_data],
                "Patients": [row.n_patients for row in card.training_data],
                "Use": [row.use for row in card.training_data],
                "Licence": [row.licence for row in card.training_data],
                "Digest": [row.digest[:12] for row in card.training_data],
                "Source": [row.citation for row in card.training_data],
            }
        )
    _measured(card)
    _points(card)
    _reports(card)
    with st.expander("The whole card"):
        st.code(card.model_dump_json(indent=1), language=None, height=400)


def _measured(card: Card) -> None:
    """What was measured on each data set's report part: as the report has it."""
    for number, (name, part) in enumerate(_parts("", card.metrics)):
        show_section(part_section(name.removeprefix("report ") or card.id, part), key=f"{card.id}-{number}")


def _reports(card: Card) -> None:
    """The report to take away, drawn when it is asked for."""
    left, right, _ = st.columns([1, 1, 5])
    left.download_button(
        "Report (HTML)", lambda: _page(card), f"{card.id}.html", "text/html", key="report-html", on_click="ignore",
        width="stretch",
    )  # fmt: skip
    right.download_button(
        "Report (PDF)", lambda: _paper(card), f"{card.id}.pdf", "application/pdf", key="report-pdf",
        on_click="ignore", width="stretch",
    )  # fmt: skip


def _page(card: Card) -> bytes:
    from cxrviewer.reporting.html_report import html_of
    from cxrviewer.reporting.run_report import report_of

    return html_of(report_of(card)).encode()


def _paper(card: Card) -> bytes:
    from cxrviewer.reporting.pdf_report import pdf_of
    from cxrviewer.reporting.run_report import report_of

    return pdf_of(report_of(card))


def _points(card: Card) -> None:
    shell.heading("Operating points and bands")
    _table(
        {
            "Label": [words.target_label(row.target) for row in card.targets],
            "Prevalence": [_number(row.prevalence) for row in card.targets],
            "Threshold": [_number(row.threshold) for row in card.targets],
            "Chosen by": [row.rule or "–" for row in card.targets],
            "Sensitivity": [_number(row.sensitivity) for row in card.targets],
            "Specificity": [_number(row.specificity) for row in card.targets],
            "Low below": [_number(row.band_low) for row in card.targets],
            "High from": [_number(row.band_high) for row in card.targets],
        }
    )
    chosen = [(row.target, name, point) for row in card.targets for name, point in row.points.items()]
    if chosen:
        shell.quiet("A site may choose another one with CXR_OPERATING_POINT:")
        _table(
            {
                "Label": [words.target_label(target) for target, _, _ in chosen],
                "CXR_OPERATING_POINT": [name for _, name, _ in chosen],
                "Threshold": [_number(point.threshold) for _, _, point in chosen],
                "Sensitivity": [_number(point.sensitivity) for _, _, point in chosen],
                "Specificity": [_number(point.specificity) for _, _, point in chosen],
            }
        )


def _parts(name: str, found: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every mapping with `labels`, at any depth, under the names that lead there."""
    if not isinstance(found, Mapping):
        return
    if isinstance(found.get("labels"), Mapping):
        yield name, found
        return
    for key, value in found.items():
        yield from _parts(f"{name} {key}".strip(), value)


def _number(value: Any) -> str:
    """`0.93`, `0.91–0.95` for an interval, a dash for none."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return "–".join(f"{part:.2f}" for part in value)
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _table(columns: Mapping[str, Sequence[Any]]) -> None:
    if columns and all(columns.values()):
        show_table(columns, lines=40)
