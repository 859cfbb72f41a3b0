"""Figures of well-known works, to stand beside one's own. They were measured on other pictures.

Each row says on which. A difference between two test sets moves an AUROC by more than most methods do, so a figure
here is a landmark and never a score to beat.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cxrviewer.labels import canonical
from cxrviewer.reporting.report import Paragraph, Table
from cxrviewer.reporting.wording import label_name, number

NOT_COMPARABLE = "Published: on other pictures and against other labels than here. Landmarks, not comparable."


@dataclass(frozen=True)
class Published:
    """One work. figures: label -> AUROC, labels as ChestX-ray14 spells them. others: what else it states, in words.
    digits: that it gives.

    names: data sets of this program that hold the same kind of pictures and labels.
    """

    work: str
    citation: str
    data: str
    names: tuple[str, ...]
    figures: Mapping[str, float]
    others: str = ""
    digits: int = 3


PUBLISHED = (
    Published(
        work="CheXNet",
        citation="Rajpurkar et al., CheXNet, arXiv:1711.05225v3 (2017), table 2",
        data="20 % of ChestX-ray14 (112,120 pictures), split by patient at random; labels mined from reports",
        names=("nih", "nih-tfrecord"),
        figures={
            "Atelectasis": 0.8094, "Cardiomegaly": 0.9248, "Effusion": 0.8638, "Infiltration": 0.7345, "Mass": 0.8676,
            "Nodule": 0.7802, "Pneumonia": 0.7680, "Pneumothorax": 0.8887, "Consolidation": 0.7901, "Edema": 0.8878,
            "Emphysema": 0.9371, "Fibrosis": 0.8047, "Pleural_Thickening": 0.8062, "Hernia": 0.9164,
        },
    ),
    Published(
        work="CheXpert",
        citation="Irvin et al., CheXpert, AAAI 2019, arXiv:1901.07031",
        data="500 studies of one hospital, labelled by five radiologists' majority; an ensemble of networks",
        names=("chexpert",),
        figures={
            "Atelectasis": 0.85, "Cardiomegaly": 0.90, "Consolidation": 0.90, "Edema": 0.92, "Effusion": 0.97,
        },
        digits=2,
    ),
    Published(
        work="Kermany et al.",
        citation="Kermany et al., Cell 2018;172:1122-1131, doi 10.1016/j.cell.2018.02.010",
        data="624 pictures of children aged one to five of one hospital, the owner's test part",
        names=("kermany",),
        figures={"pneumonia": 0.968},
        others="accuracy 0.928, sensitivity 0.932, specificity 0.901",
    ),
)  # fmt: skip


def beside(dataset: str, labels: Mapping[str, Any]) -> tuple[Table | Paragraph, ...]:
    """One's own AUROCs with the published ones of the same labels, and a line a work that says where it was measured.

    labels: as `metrics.json` has them; nothing where no work has any of them. Works on such data come first.
    """
    own = {canonical(name): found for name, found in labels.items() if found}
    works = [work for work in PUBLISHED if work.figures.keys() & own.keys()]
    works.sort(key=lambda work: dataset not in work.names)
    if not works:
        return ()
    shown = [name for name in own if any(name in work.figures for work in works)]
    rows = tuple(
        (
            label_name(name),
            number(own[name]["auroc"], 3),
            *(number(work.figures.get(name), work.digits) for work in works),
        )
        for name in shown
    )
    table = Table(("AUROC", f"Here, on {dataset}", *(work.work for work in works)), rows, NOT_COMPARABLE)
    return (table, *(Paragraph(_source(work), "quiet") for work in works))


def _source(work: Published) -> str:
    others = f" It also states {work.others}." if work.others else ""
    return f"{work.work}: on {work.data}.{others} {work.citation}."
