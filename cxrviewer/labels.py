"""Vocabularies: what a label is called, and what it means.

A finding keeps the name that its vocabulary uses (`Effusion` in ChestX-ray14, `Pleural Effusion` in CheXpert);
aliases lead from one data set's spelling to another's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Head(StrEnum):
    """The classifier's two answers."""

    PNEUMONIA = "pneumonia"
    FINDINGS = "findings"


PNEUMONIA = "pneumonia"

NIH_14 = (
    "Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax",
    "Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia",
)  # fmt: skip
"""ChestX-ray14, in the order of Wang et al., CVPR 2017 and its extension."""

CHEXPERT_14 = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture",
    "Support Devices",
)  # fmt: skip
"""CheXpert, in the order of its label file (Irvin et al., AAAI 2019)."""

VOCABULARIES = {"nih-14": NIH_14, "chexpert-14": CHEXPERT_14}

ALIASES = {
    "Infiltrate": "Infiltration",
    "Pleural Thickening": "Pleural_Thickening",
    "Pleural Effusion": "Effusion",
}
"""Other spellings -> ChestX-ray14's. The boxes of ChestX-ray14 say `Infiltrate` where its labels say
`Infiltration`."""


@dataclass(frozen=True)
class Definition:
    """What a finding is, in plain words, and where the definition comes from."""

    text: str
    source: str


_FLEISCHNER = "after Hansell et al., Fleischner Society glossary, Radiology 2008;246:697-722"
_WANG = "after Wang et al., ChestX-ray8, CVPR 2017"

DEFINITIONS = {
    "pneumonia": Definition("Infection that fills air spaces with fluid and cells; seen as an opacity.", _FLEISCHNER),
    "Pneumonia": Definition(
        "Infection of air spaces or interstitium. Here: a report that names pneumonia, not a proven infection.", _WANG
    ),
    "Atelectasis": Definition("Part of a lung holds too little air and has lost volume.", _FLEISCHNER),
    "Cardiomegaly": Definition("The heart's shadow is larger than expected for the chest.", _WANG),
    "Effusion": Definition("Fluid between lung and chest wall; it blunts the angle at the diaphragm.", _FLEISCHNER),
    "Infiltration": Definition(
        "An older word in reports for any ill-defined opacity; it names no single disease.", _FLEISCHNER
    ),
    "Mass": Definition("A round opacity larger than 3 cm.", _FLEISCHNER),
    "Nodule": Definition("A round opacity of at most 3 cm.", _FLEISCHNER),
    "Pneumothorax": Definition("Air between lung and chest wall; the lung's edge is off the ribs.", _FLEISCHNER),
    "Consolidation": Definition("Air in the lung is replaced; vessels and airway walls are hidden.", _FLEISCHNER),
    "Edema": Definition("Too much fluid in the lung, most often from a failing heart.", _WANG),
    "Emphysema": Definition("Air spaces enlarged for good; the lungs look large and dark.", _FLEISCHNER),
    "Fibrosis": Definition("Scarring of the lung: lines, a net-like pattern, loss of volume.", _FLEISCHNER),
    "Pleural_Thickening": Definition("The lining of the lung is thickened, most often by scar.", _WANG),
    "Hernia": Definition("Part of the abdomen stands in the chest, most often behind the heart.", _WANG),
    "No Finding": Definition("The report names none of the other labels.", "after Irvin et al., CheXpert, AAAI 2019"),
}  # fmt: skip


def canonical(name: str) -> str:
    """The ChestX-ray14 spelling of a finding; a name without an alias comes back as it is."""
    name = name.strip()
    return ALIASES.get(name, name)


def plain(name: str) -> str:
    """A label as people read it: `Pleural thickening`."""
    return name.replace("_", " ").capitalize()
