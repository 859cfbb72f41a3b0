"""A model's report as a value: sections of paragraphs, tables and figures. Each writer draws the same one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from cxrviewer.evaluation.curves import LabelCurve
from cxrviewer.evaluation.explorer import Explorer


@dataclass(frozen=True)
class Paragraph:
    """Plain text: whoever draws it escapes it. kind: how it stands out."""

    text: str
    kind: Literal["plain", "quiet", "caution"] = "plain"


@dataclass(frozen=True)
class Table:
    """Every cell is plain text; a column of numbers is as long as the others. folded: long, so a page may fold it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    folded: bool = False


@dataclass(frozen=True, eq=False)
class Curves:
    """One of `figures.FIGURES` over the labels."""

    kind: str
    curves: tuple[LabelCurve, ...]


@dataclass(frozen=True)
class Series:
    """A named line."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclass(frozen=True)
class Lines:
    """Named lines over a common axis: how training went."""

    title: str
    x: str
    series: tuple[Series, ...]


@dataclass(frozen=True, eq=False)
class Sliders:
    """Operating points by label, and the threshold that each label uses (None: it has none)."""

    points: Mapping[str, Explorer]
    own: Mapping[str, float | None]


Block = Paragraph | Table | Curves | Lines | Sliders


@dataclass(frozen=True, eq=False)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, eq=False)
class Report:
    """The whole. about: one quiet line below the title: id, weights, date."""

    title: str
    about: str
    sections: tuple[Section, ...]
