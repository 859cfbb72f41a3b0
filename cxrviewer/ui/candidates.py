"""Which models could serve next, and where a fair comparison with the present one can be had. Nothing here draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxrviewer.errors import ModelBundleError
from cxrviewer.reporting.wording import label_name, number, with_ends

if TYPE_CHECKING:
    from cxrviewer.classifiers.card import Card
    from cxrviewer.classifiers.registry import ModelInfo
    from cxrviewer.training.comparing import ComparedPart, Comparison


@dataclass(frozen=True)
class FinishedRun:
    """A run that has a whole card. installed: its weights are among the models already."""

    path: Path
    card: Card
    installed: bool


def finished_runs(runs_dir: Path, models: Sequence[ModelInfo]) -> tuple[FinishedRun, ...]:
    """Finished runs, the newest first; one whose card cannot be read is left out."""
    from cxrviewer.classifiers.card import read_card
    from cxrviewer.classifiers.registry import bundle_below
    from cxrviewer.training.run_listing import list_runs

    weights = {model.card.weights_sha256 for model in models if model.card is not None}
    found = []
    for status in list_runs(runs_dir):
        if status.state == "finished":
            try:
                card = read_card(bundle_below(status.path))
            except ModelBundleError:
                continue
            found.append(FinishedRun(status.path, card, card.weights_sha256 in weights))
    return tuple(found)


def run_of(card: Card, runs: Sequence[FinishedRun]) -> Path | None:
    """The run that made these very weights, where it is still there: it knows the pictures to compare on."""
    return next((run.path for run in runs if run.card.weights_sha256 == card.weights_sha256), None)


def compared_table(part: ComparedPart, names: tuple[str, str]) -> dict[str, list[str]]:
    """Columns of a table: a line a label, both models and their difference."""
    rows = [row.as_json() for row in part.labels]
    return {
        "Label": [label_name(row.label) for row in part.labels],
        "Positive": [str(row.n_positive) for row in part.labels],
        f"AUROC {names[0]}": [_with(row, "new") for row in rows],
        f"AUROC {names[1]}": [_with(row, "serving") for row in rows],
        "Difference": [_signed(row) for row in rows],
        "": ["differs" if row.differs else "within chance" for row in part.labels],
    }


def _with(row: Mapping[str, Any], name: str) -> str:
    return with_ends(row, name)


def _signed(row: Mapping[str, Any]) -> str:
    ends = row["difference_ci95"]
    between = f" ({_sign(ends[0])} to {_sign(ends[1])})" if ends else ""
    return f"{_sign(row['difference'])}{between}"


def _sign(value: float) -> str:
    """`+0.06`, `−0.02`; nothing has no sign."""
    text = f"{value:+.2f}"
    return "0.00" if float(text) == 0 else text.replace("-", "−")


def lost_answers(new: Card, serving: Card) -> tuple[str, ...]:
    """What the serving model answers and the new one does not: after the change nobody would see it."""
    given = {target.label for target in new.targets}
    return tuple(label_name(target.label) for target in serving.targets if target.label not in given)


def verdict(found: Comparison) -> str:
    """One sentence over all labels."""
    rows = [row for part in found.parts for row in part.labels if row.differs]
    better, worse = (sum((row.difference > 0) is up for row in rows) for up in (True, False))
    total = sum(len(part.labels) for part in found.parts)
    if not total:
        return "Nothing could be compared on pictures that neither model has learnt."
    return f"Of {total} comparisons {better} are better and {worse} worse than chance allows."


def cards_side_by_side(new: Card, serving: Card) -> dict[str, list[str]]:
    """What each card says of the labels that both have, by data set. The pictures may differ."""
    columns: dict[str, list[str]] = {
        "Data": [],
        "Label": [],
        f"AUROC {new.id}": [],
        f"AUROC {serving.id}": [],
    }
    for dataset, label, first, second in _shared(new, serving):
        for column, text in zip(columns.values(), (dataset, label_name(label), first, second), strict=True):
            column.append(text)
    return columns


def _shared(new: Card, serving: Card) -> Iterator[tuple[str, str, str, str]]:
    ours, theirs = _parts(new), _parts(serving)
    for dataset in ours.keys() & theirs.keys():
        first, second = ours[dataset]["labels"], theirs[dataset]["labels"]
        for label, found in first.items():
            if found and second.get(label):
                yield dataset, label, _said(found), _said(second[label])


def _said(found: Mapping[str, Any]) -> str:
    return f"{with_ends(found, 'auroc')}, {number(found['n_positive'])} positive"


def _parts(card: Card) -> dict[str, Any]:
    report = card.metrics.get("report")
    parts = report.items() if isinstance(report, dict) else ()
    return {
        name: part for name, part in parts if isinstance(part, dict) and isinstance(part.get("labels"), dict)
    }
