"""What was measured on one data set's report part, as the section of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from cxrviewer.errors import UnreadableError
from cxrviewer.evaluation.explorer import Explorer
from cxrviewer.evaluation.operating import MIN_POSITIVES
from cxrviewer.reporting.figures import FIGURES, curves_of_card
from cxrviewer.reporting.published import beside
from cxrviewer.reporting.report import Block, Curves, Paragraph, Section, Sliders, Table
from cxrviewer.reporting.wording import label_name, number, with_ends

Part = Mapping[str, Any]
"""A data set's entry in `metrics.json`."""

_WITH_ENDS = {
    "auroc": "AUROC", "average_precision": "Average precision", "sensitivity": "Sensitivity",
    "specificity": "Specificity", "ppv": "PPV", "npv": "NPV",
}  # fmt: skip
_POINT = {"accuracy": "Accuracy", "misclassification_rate": "Misclassified", "brier": "Brier", "ece": "ECE",
          "loss": "Loss"}  # fmt: skip


@contextmanager
def as_written() -> Iterator[None]:
    """Inside, figures of another shape than this program writes raise UnreadableError.

    What was measured lies in cards and runs as plain JSON, which anybody may have changed.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as exc:
        raise UnreadableError(
            "The figures that go with this model are not those of this program.",
            "Restore them from their source. The model's answers do not depend on them.",
        ) from exc


def part_section(dataset: str, part: Part) -> Section:
    """Everything about a data set, one block after the other. Raises UnreadableError."""
    with as_written():
        return Section(f"Measured on the report part of {dataset}", tuple(_blocks(dataset, part)))


def _blocks(dataset: str, part: Part) -> Iterator[Block]:
    labels = measured_labels(part)
    yield Paragraph(_headline(part))
    yield from (Paragraph(text, "caution") for text in _one_class(part))
    if not labels:
        return
    yield figures_table(labels)
    yield points_table(labels)
    curves = curves_of_card(part) if part.get("curves") else ()
    if curves:
        yield from (Curves(kind, curves) for kind in FIGURES)
    if sliders := sliders_of(part):
        yield sliders
    if groups := subgroup_table(part):
        yield groups
        yield Paragraph(
            f"Few: fewer than {MIN_POSITIVES} positives or negatives, so that chance rules the figure.",
            "quiet",
        )
    yield from beside(dataset, labels)


def measured_labels(part: Part) -> dict[str, Part]:
    """The labels that have figures."""
    return {name: found for name, found in part["labels"].items() if isinstance(found, Mapping)}


def _headline(part: Part) -> str:
    words = [f"{part['n_images']} pictures of {part['n_patients']} people."]
    if part.get("mean_auroc") is not None:
        words.append(
            f"Mean AUROC {with_ends(part, 'mean_auroc')} over labels with at least {MIN_POSITIVES} positives."
        )
    for key, name in (("accuracy", "Accuracy"), ("brier", "Mean Brier"), ("ece", "Mean ECE")):
        if part.get(key) is not None:
            words.append(f"{name} {part[key]:.3f}.")
    words.append("Intervals: 95 %, people resampled 1,000 times.")
    return " ".join(words)


def _one_class(part: Part) -> Iterator[str]:
    for name, found in (part.get("one_class") or {}).items():
        yield (
            f"{label_name(name)}: all {found['n']} pictures are {found['truth']}, so there is no AUROC; "
            f"{found['called_positive']} are called positive."
        )


def figures_table(labels: Mapping[str, Part]) -> Table:
    """A row a label, with intervals where there are any."""
    rows = tuple(
        (label_name(name), number(found["n_positive"]), number(found["n_negative"]),
         *(with_ends(found, key) for key in _WITH_ENDS))
        for name, found in labels.items()
    )  # fmt: skip
    return Table(("Label", "Positive", "Negative", *_WITH_ENDS.values()), rows)


def points_table(labels: Mapping[str, Part]) -> Table:
    """The operating point of each label: counts, and what they make; calibration beside it.

    A column that holds nothing is left out: older cards lack the counts.
    """
    rows = []
    for name, found in labels.items():
        counts = found.get("confusion") or {}
        fields = (number(counts.get(field)) for field in ("tp", "fp", "fn", "tn"))
        rows.append((label_name(name), number(found.get("threshold"), 3), *fields,
                     *(number(found.get(key), 3) for key in _POINT)))  # fmt: skip
    columns = ("Label", "Threshold", "TP", "FP", "FN", "TN", *_POINT.values())
    kept = [place for place in range(len(columns)) if any(row[place] != "–" for row in rows)]
    return Table(
        tuple(columns[place] for place in kept),
        tuple(tuple(row[place] for place in kept) for row in rows),
        "At the operating point chosen on the tune part",
    )


def sliders_of(part: Part) -> Sliders | None:
    """The operating points that the card keeps; None where it was made before they were kept."""
    kept = {
        name: found["operating"] for name, found in (part.get("curves") or {}).items() if "operating" in found
    }
    if not kept:
        return None
    labels = part["labels"]
    points = {name: explorer_of(values, labels[name]) for name, values in kept.items()}
    own = {name: labels[name].get("threshold") for name in kept}
    return Sliders(points, {name: None if value is None else float(value) for name, value in own.items()})


def explorer_of(values: Any, label: Part) -> Explorer:
    """From `[thresholds, tp, fp]` and the label's counts."""
    thresholds, tp, fp = values
    return Explorer(
        np.asarray(thresholds, np.float64), np.asarray(tp, np.int64), np.asarray(fp, np.int64),
        label["n_positive"], label["n_negative"],
    )  # fmt: skip


def subgroup_table(part: Part) -> Table | None:
    """A row a label and group; None where there are no groups."""
    rows = tuple(
        (group["attribute"], group["value"], label_name(found["label"]), number(found["n_positive"]),
         number(found["n_negative"]), with_ends(found, "auroc"), with_ends(found, "sensitivity"),
         with_ends(found, "specificity"), "few" if found["few"] else "")
        for group in part.get("subgroups") or ()
        for found in group["labels"]
        if found["n_positive"]
    )  # fmt: skip
    columns = ("By", "Group", "Label", "Positive", "Negative", "AUROC", "Sensitivity", "Specificity", "Note")
    return Table(columns, rows, "Subgroups, at each label's own threshold", folded=True) if rows else None
