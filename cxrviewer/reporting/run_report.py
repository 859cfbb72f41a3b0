"""A run folder, or a card alone, as a report. Everything in it was written by the run; nothing is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cxrviewer.classifiers.card import Card, read_card
from cxrviewer.classifiers.registry import bundle_below
from cxrviewer.errors import UnreadableError
from cxrviewer.files import read_columns, read_small
from cxrviewer.reporting.explanation_report import explanation_section
from cxrviewer.reporting.part_report import as_written, part_section
from cxrviewer.reporting.report import Block, Lines, Paragraph, Report, Section, Series, Table
from cxrviewer.reporting.wording import head_name, label_name, metric_title, number

EXPLANATIONS = "explanations.json"
_MOST_BYTES = 2**20
_AXES = ("epoch", "size", "seconds", "step")
_MEAN = "tune_auroc"


def read_report(run: Path) -> Report:
    """The report of a finished run. Raises NotFoundError where it has no bundle, UnreadableError, ModelBundleError."""
    card = read_card(bundle_below(run))
    return report_of(card, history(run / "metrics.csv"), _explanations(run / EXPLANATIONS))


def report_of(
    card: Card, lines: Lines | None = None, explanations: Mapping[str, Any] | None = None
) -> Report:
    """A card's report; how training went and the explanation check are the run's to add.

    Raises UnreadableError where the card's figures are of another shape than those that this program writes.
    """
    with as_written():
        sections = tuple(_sections(card, lines, explanations))
    return Report(
        title=card.title or card.id,
        about=f"{card.id}, weights {card.weights_sha256[:16]}, made {card.created[:10]}",
        sections=sections,
    )


def _sections(card: Card, lines: Lines | None, explanations: Mapping[str, Any] | None) -> Iterator[Section]:
    limits = tuple(Paragraph(limit, "caution") for limit in card.limits)
    yield Section("Intended use and limits", (Paragraph(card.intended_use), *limits))
    yield Section("Data", tuple(_data(card)))
    yield Section("Training", tuple(_training(card, lines)))
    yield Section("Calibration and operating points", (_targets(card),))
    report = card.metrics.get("report")
    for name, part in report.items() if isinstance(report, dict) else ():
        if isinstance(part, dict) and isinstance(part.get("labels"), dict):
            yield part_section(name, part)
    if checks := tuple(_checks(card.checks)):
        yield Section("What else could explain the answers", checks)
    if explanations:
        yield explanation_section(explanations)
    software = ", ".join(f"{name} {version}" for name, version in card.software.items())
    yield Section("Made with", (Paragraph(software, "quiet"), Paragraph(f"Licence: {card.licence}", "quiet")))


def _data(card: Card) -> Iterator[Block]:
    columns = ("Data", "Pictures", "People", "Use", "Licence", "Digest", "Source")
    rows = tuple(
        (data.name, number(data.n_images), number(data.n_patients), data.use, data.licence, data.digest[:16],
         data.citation)
        for data in card.training_data
    )  # fmt: skip
    if rows:
        yield Table(columns, rows)
    parts = card.split.get("parts")
    if isinstance(parts, dict):
        counts = tuple(
            (name, number(found["images"]), number(found["groups"]))
            for name, found in parts.items()
            if isinstance(found, dict)
        )
        yield Table(("Part", "Pictures", "Groups of people"), counts, "Split: no group stands in two parts")
        yield Paragraph(f"sha256 of {card.split.get('file')}: {card.split.get('sha256')}", "quiet")


def _training(card: Card, lines: Lines | None) -> Iterator[Block]:
    stated = {key: value for key, value in card.recipe.items() if value not in ("", None, [], {})}
    rows = tuple(
        (key, json.dumps(value) if isinstance(value, dict | list) else str(value))
        for key, value in stated.items()
    )
    if rows:
        yield Table(("Recipe", "Value"), rows, folded=True)
    if lines is not None:
        yield lines


def _targets(card: Card) -> Table:
    rows = tuple(
        (label_name(row.label), head_name(row.head), number(row.prevalence), number(row.threshold, 3), row.rule,
         number(row.band_low, 3), number(row.band_high, 3))
        for row in card.targets
    )  # fmt: skip
    return Table(("Label", "Head", "Prevalence", "Threshold", "Chosen by", "Low below", "High from"), rows)


def _checks(checks: Mapping[str, Any]) -> Iterator[Block]:
    shown = checks.get("pneumonia_auroc_by_what_is_shown")
    if isinstance(shown, dict) and shown:
        rows = tuple((name, number(value)) for name, value in shown.items())
        yield Table(
            ("What is shown", "AUROC"), rows, "The pneumonia answer with parts of the picture hidden or moved"
        )
    apart = checks.get("auroc_of_telling_sources_apart")
    if isinstance(apart, dict) and apart:
        rows = tuple((name, number(value)) for name, value in apart.items())
        yield Table(
            ("Data", "AUROC"), rows, "How well the network's features tell each data set from the others"
        )
    headers = checks.get("auroc_by_header_alone")
    for dataset, found in headers.items() if isinstance(headers, dict) else ():
        if isinstance(found, dict) and found:
            yield _by_header(dataset, found)


def _by_header(dataset: str, found: Mapping[str, Any]) -> Table:
    labels = list(dict.fromkeys(label for values in found.values() for label in values))
    rows = tuple(
        (label_name(label), *(number(values.get(label)) for values in found.values())) for label in labels
    )
    return Table(("Label", *found), rows, f"AUROC on {dataset} without looking at the picture", folded=True)


def history(path: Path) -> Lines | None:
    """`metrics.csv` over its epochs, counted from 1; None where there is none. A cell that is no number is left out."""
    columns = read_columns(path, "epoch")
    names = [name for name in columns if name not in _AXES]
    heads = [name for name in names if name.startswith("tune_") and name.endswith("_auroc") and name != _MEAN]
    names = [name for name in names if name != _MEAN or len(heads) != 1]  # of one head the mean says it twice
    drawn = tuple(
        Series(metric_title(name), tuple(x + 1 for x, _ in columns[name]), tuple(y for _, y in columns[name]))
        for name in names
        if columns[name]
    )
    return Lines("How training went", "epoch", drawn) if drawn else None


def _explanations(path: Path) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found = json.loads(read_small(path, _MOST_BYTES))
    except (OSError, ValueError, RecursionError) as exc:
        raise UnreadableError(
            f"{EXPLANATIONS} of the run is damaged.", "Run the explanation check again."
        ) from exc
    return found if isinstance(found, dict) else None
