"""A report as a PDF, by ReportLab (BSD): no browser is needed to draw it, and its text stays text.

Light, since paper is. Which library and why: docs/decisions/0034-results.md.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, SimpleDocTemplate, Spacer
from reportlab.platypus import Paragraph as Words
from reportlab.platypus import Table as Grid

from cxrviewer.files import write_whole
from cxrviewer.reporting.pdf_figures import curve_charts, line_charts
from cxrviewer.reporting.report import Block, Curves, Lines, Paragraph, Report, Section, Sliders, Table
from cxrviewer.reporting.wording import label_name, number

INK, FAINT, RULE = HexColor("#1b2027"), HexColor("#5d6773"), HexColor("#c9d0d8")
PAGE = landscape(A4)
MARGIN = 14 * mm
WIDTH = PAGE[0] - 2 * MARGIN
FONT, BOLD = "CXR", "CXR-Bold"
SHARES = (0.8, 0.9, 0.95)
"""Sensitivities that a PDF shows in place of a slider."""


def write_pdf(report: Report, path: Path) -> None:
    """Write the file by one rename."""
    write_whole(path, pdf_of(report))


def pdf_of(report: Report) -> bytes:
    """The file's bytes."""
    _register()
    file = BytesIO()
    document = SimpleDocTemplate(
        file, pagesize=PAGE, leftMargin=MARGIN, rightMargin=MARGIN, topMargin=MARGIN, bottomMargin=MARGIN,
        title=report.title, author="CXR Viewer", subject=report.about,
    )  # fmt: skip

    def foot(canvas: Canvas, _document: object) -> None:
        canvas.setFont(FONT, 7)
        canvas.setFillColor(FAINT)
        canvas.drawString(MARGIN, 7 * mm, f"{report.about}. Research and teaching only.")
        canvas.drawRightString(PAGE[0] - MARGIN, 7 * mm, str(canvas.getPageNumber()))

    document.build(list(_flow(report)), onFirstPage=foot, onLaterPages=foot)
    return file.getvalue()


def _register() -> None:
    """DejaVu, which matplotlib brings: it has the letters of most languages, where PDF's own fonts have Latin only."""
    if FONT in pdfmetrics.getRegisteredFontNames():
        return
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    pdfmetrics.registerFont(TTFont(FONT, str(folder / "DejaVuSans.ttf")))
    pdfmetrics.registerFont(TTFont(BOLD, str(folder / "DejaVuSans-Bold.ttf")))


def _style(size: float, font: str = FONT, colour: HexColor = INK, **more: Any) -> ParagraphStyle:
    return ParagraphStyle(
        f"{font}-{size}", fontName=font, fontSize=size, leading=size * 1.35, textColor=colour, **more
    )


def _words(text: str, style: ParagraphStyle) -> Words:
    """Plain text: ReportLab reads markup in what it is given, so it is escaped."""
    return Words(html.escape(text, quote=False), style)


def _flow(report: Report) -> Iterator[Flowable]:
    yield _words(report.title, _style(18, BOLD, spaceAfter=2))
    yield _words(report.about, _style(8.5, colour=FAINT, spaceAfter=6))
    for section in report.sections:
        yield from _section(section)


def _section(section: Section) -> Iterator[Flowable]:
    yield _words(section.title, _style(12.5, BOLD, spaceBefore=12, spaceAfter=4, keepWithNext=True))
    for block in section.blocks:
        yield from _BLOCKS[type(block)](block)


def _paragraph(block: Paragraph) -> Iterator[Flowable]:
    indent = 8 if block.kind == "caution" else 0
    colour = FAINT if block.kind == "quiet" else INK
    yield _words(block.text, _style(8.5, colour=colour, spaceAfter=3, leftIndent=indent))


def _table(block: Table) -> Iterator[Flowable]:
    if block.caption:
        yield _words(block.caption, _style(8, colour=FAINT, spaceBefore=6, spaceAfter=1, keepWithNext=True))
    cells, head = _style(7), _style(7, BOLD, FAINT)
    rows = [[_words(name, head) for name in block.columns]]
    rows += [[_words(cell, cells) for cell in row] for row in block.rows]
    grid = Grid(rows, colWidths=_widths(block), repeatRows=1, hAlign="LEFT")
    grid.setStyle([
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, RULE), ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5), ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ("LEFTPADDING", (0, 0), (-1, -1), 0), ("RIGHTPADDING", (0, 0), (-1, -1), 6),
    ])  # fmt: skip
    yield grid
    yield Spacer(1, 6)


def _widths(block: Table) -> list[float]:
    """As wide as the longest cell, long ones wrapped: what they ask beyond the page is taken from the widest."""
    wanted = [
        max(
            pdfmetrics.stringWidth(name, BOLD, 7),
            *(pdfmetrics.stringWidth(row[k], FONT, 7) for row in block.rows),
            0,
        )
        + 8
        for k, name in enumerate(block.columns)
    ]
    cap = max(wanted, default=0.0)
    while sum(min(width, cap) for width in wanted) > WIDTH:
        cap *= 0.95
    return [min(width, cap) for width in wanted]


def _curves(block: Curves) -> Iterator[Flowable]:
    yield _words(block.kind, _style(9, BOLD, spaceBefore=6, keepWithNext=True))
    yield from curve_charts(block, WIDTH)


def _lines(block: Lines) -> Iterator[Flowable]:
    yield from line_charts(block, WIDTH)


def _sliders(block: Sliders) -> Iterator[Flowable]:
    """What a page slides over, at a few sensitivities."""
    columns = ("Label", "Sensitivity from", "Threshold", "TP", "FP", "FN", "TN", "Specificity")
    rows = tuple(row for name in block.points for row in _chosen(block, name))
    yield from _table(Table(columns, rows, "Other operating points, on the report part itself"))


def _chosen(block: Sliders, name: str) -> Iterator[tuple[str, ...]]:
    points = block.points[name]
    for share in SHARES:
        at = int((points.sensitivity >= share).nonzero()[0].max())
        tp, fp = int(points.tp[at]), int(points.fp[at])
        counts: Sequence[int] = (tp, fp, points.n_positive - tp, points.n_negative - fp)
        yield (
            label_name(name), f"{share:.2f}", number(float(points.thresholds[at]), 3),
            *(str(count) for count in counts), number(float(points.specificity[at])),
        )  # fmt: skip


_BLOCKS: dict[type[Block], Callable[[Any], Iterator[Flowable]]] = {
    Paragraph: _paragraph,
    Table: _table,
    Curves: _curves,
    Lines: _lines,
    Sliders: _sliders,
}
