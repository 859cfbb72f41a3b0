"""The check of the maps against readers' boxes, as a section of a report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cxrviewer.reporting.report import Block, Paragraph, Section, Table
from cxrviewer.reporting.wording import label_name, number, with_ends

MEASURES = {"pointing": "Peak inside", "energy": "Share inside", "iou": "Overlap of the top area"}


def explanation_section(found: Mapping[str, Any]) -> Section:
    """From `explanations.json`."""
    return Section("Do the maps point at what readers marked?", tuple(_blocks(found)))


def _blocks(found: Mapping[str, Any]) -> Iterator[Block]:
    yield Paragraph(
        f"{found['n_areas']} areas that readers marked, on {found['n_images']} pictures of {found['n_patients']} "
        f"people of {', '.join(found['datasets'])}, all held back from training. Chance is the size of the area; "
        "the mean map is that of the same method over other people's pictures, so it knows nothing of the picture."
    )
    rows = tuple(
        (name, number(measured["n"]), *(with_ends(measured, key) for key in MEASURES))
        for name, measured in found["methods"].items()
    )
    yield Table(("Map", "Areas", *MEASURES.values()), rows)
    labels = tuple(
        (label_name(label), name, number(measured["n"]), *(with_ends(measured, key) for key in MEASURES))
        for label, methods in found["labels"].items()
        for name, measured in methods.items()
    )
    if labels:
        yield Table(("Label", "Map", "Areas", *MEASURES.values()), labels, "By label", folded=True)
    yield Paragraph("A map shows what moved this network's answer. It is not evidence of disease.", "quiet")
