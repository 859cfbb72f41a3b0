"""A run's report: one value, everything in it from the run, and the same on a page and on paper."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from reportlab.platypus import Paragraph as Words
from reportlab.platypus import Table as Grid
from support.made_runs import HOSTILE, save_run
from support.small_models import small_card

from cxrviewer.errors import ModelBundleError, UnreadableError
from cxrviewer.reporting.html_report import POLICY, html_of, in_script, texts_of, write_html
from cxrviewer.reporting.pdf_report import _flow, pdf_of, write_pdf
from cxrviewer.reporting.published import PUBLISHED, beside
from cxrviewer.reporting.report import Curves, Lines, Paragraph, Report, Sliders, Table
from cxrviewer.reporting.run_report import history, read_report, report_of
from cxrviewer.reporting.wording import number

CHECKED = {
    "datasets": ["nih"],
    "n_areas": 3,
    "n_images": 3,
    "n_patients": 2,
    "methods": {
        "Grad-CAM": {"n": 3, "pointing": 0.5, "pointing_ci95": [0.1, 0.9], "energy": 0.3, "iou": 0.2}
    },
    "labels": {"Mass": {"Grad-CAM": {"n": 3, "pointing": 0.5, "energy": 0.3, "iou": 0.2}}},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = save_run(tmp_path_factory.mktemp("run"))
    (folder / "explanations.json").write_text(json.dumps(CHECKED))
    return folder


@pytest.fixture(scope="module")
def report(run: Path) -> Report:
    return read_report(run)


def blocks(report: Report, kind: type) -> list:
    return [block for section in report.sections for block in section.blocks if isinstance(block, kind)]


def test_every_part_of_a_run_is_in_it(report: Report) -> None:
    assert [section.title for section in report.sections] == [
        "Intended use and limits", "Data", "Training", "Calibration and operating points",
        "Measured on the report part of Mass", "What else could explain the answers",
        "Do the maps point at what readers marked?", "Made with",
    ]  # fmt: skip
    (lines,) = blocks(report, Lines)
    assert [(series.name, series.x) for series in lines.series] == [
        ("loss on train", (1, 2)),
        ("mean of the heads, AUROC on tune", (2,)),
    ]
    assert [curves.kind for curves in blocks(report, Curves)] == [
        "ROC",
        "Precision and recall",
        "Reliability",
    ]
    (sliders,) = blocks(report, Sliders)
    assert sliders.own == {"pneumonia": 0.5, "Pneumonia": 0.5, "Mass": 0.5}
    assert all(len(row) == len(table.columns) for table in blocks(report, Table) for row in table.rows)


def test_a_table_says_what_metrics_json_says(run: Path, report: Report) -> None:
    card = json.loads((run / "bundle/small-1/card.json").read_text())
    found = card["metrics"]["report"]["Mass"]["labels"]["Mass"]
    figures, points = (t for t in blocks(report, Table) if t.columns[0] == "Label" and len(t.rows) == 3)
    row = dict(zip(figures.columns, figures.rows[2], strict=True))
    low, high = found["auroc_ci95"]
    assert row["AUROC"] == f"{found['auroc']:.2f} ({low:.2f} to {high:.2f})"
    assert [row[0] for row in figures.rows] == ["Pneumonia", "Pneumonia (finding)", "Mass"]
    point = dict(zip(points.columns, points.rows[2], strict=True))
    assert [int(point[name]) for name in ("TP", "FP", "FN", "TN")] == list(found["confusion"].values())


def test_groups_stand_with_their_warning(report: Report) -> None:
    (table,) = (t for t in blocks(report, Table) if t.columns[:2] == ("By", "Group"))
    assert {row[:2] for row in table.rows} == {("sex", "F"), ("sex", "M")}
    assert {row[-1] for row in table.rows} == {""}  # 30 of each are enough


def test_an_older_card_gives_what_it_has() -> None:
    part = {
        "labels": {"Mass": {"auroc": 0.8, "auroc_ci95": None, "average_precision": 0.5, "n_positive": 3,
                            "n_negative": 7}, "Nodule": None},
        "n_images": 10, "n_patients": 9,
        "curves": {"Mass": {"roc": [[0, 1], [0, 1]], "precision_recall": [[1, 0], [0.3, 1]], "reliability": []}},
    }  # fmt: skip
    found = report_of(small_card(metrics={"report": {"nih": part}}))
    assert len(blocks(found, Curves)) == 3 and not blocks(found, Sliders)
    assert pdf_of(found)[:5] == b"%PDF-" and "Mass" in html_of(found)


def test_a_run_without_a_bundle_or_with_a_damaged_check_says_so(tmp_path: Path) -> None:
    with pytest.raises(ModelBundleError, match="no bundle yet"):
        read_report(tmp_path)
    run = save_run(tmp_path / "run")
    (run / "explanations.json").write_text("{")
    with pytest.raises(UnreadableError, match="explanation check again"):
        read_report(run)


def test_the_page_stands_alone(report: Report, tmp_path: Path) -> None:
    write_html(report, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert page.count("* plotly.js v") == 1
    assert page.count("Plotly.newPlot(") >= 5
    assert page.count('"showSendToCloud": false') == 5
    assert not re.findall(r"<(?:script|link|img|iframe)[^>]+(?:src|href)\s*=", page)
    assert "default-src 'none'" in POLICY and page.index("Content-Security-Policy") < page.index("<script>")


def test_texts_of_a_file_stay_text(tmp_path: Path) -> None:
    report = read_report(save_run(tmp_path / "run", HOSTILE))
    assert sum(HOSTILE in text for text in texts_of(report)) >= 4
    page = html_of(report)
    assert "<script>alert(1)" not in page and "<img src=x" not in page and "</para>" not in page
    assert pdf_of(report)[:5] == b"%PDF-"
    printed = [
        flowable.getPlainText(identify=True) for flowable in _flow(report) if isinstance(flowable, Words)
    ]
    assert any(HOSTILE in text for text in printed)
    assert in_script({"a": "</script>"}) == '{"a": "\\u003c/script\\u003e"}'


def test_paper_holds_what_the_page_holds(report: Report, tmp_path: Path) -> None:
    write_pdf(report, tmp_path / "report.pdf")
    assert [path.name for path in tmp_path.iterdir()] == ["report.pdf"]
    grids = [flowable for flowable in _flow(report) if isinstance(flowable, Grid)]
    cells = {
        cell.getPlainText(identify=True)
        for grid in grids
        for row in grid._cellvalues
        for cell in row
        if isinstance(cell, Words)
    }
    assert {cell for table in blocks(report, Table) for row in table.rows for cell in row} <= cells
    said = {f.getPlainText(identify=True) for f in _flow(report) if isinstance(f, Words)}
    assert {block.text for block in blocks(report, Paragraph)} <= said


def test_published_figures_stand_beside_ones_own() -> None:
    labels = {
        "Atelectasis": {"auroc": 0.7},
        "Mass": None,
        "pneumonia": {"auroc": 0.9},
        "Pleural Effusion": {"auroc": 0.8},
    }
    table, *sources = beside("kermany", labels)
    assert isinstance(table, Table)
    # Kermany's comes first, for it is of such pictures.
    assert table.columns == ("AUROC", "Here, on kermany", "Kermany et al.", "CheXNet", "CheXpert")
    assert table.rows == (
        ("Atelectasis", "0.700", "–", "0.809", "0.85"), ("Pneumonia", "0.900", "0.968", "–", "–"),
        ("Effusion", "0.800", "–", "0.864", "0.97"),
    )  # fmt: skip
    assert "not comparable" in table.caption
    assert all("arXiv" in s.text or "doi" in s.text for s in sources if isinstance(s, Paragraph))
    assert beside("covid", {"something else": {"auroc": 0.5}}) == ()
    assert [len(work.figures) for work in PUBLISHED] == [14, 5, 1]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.9962, "0.996"),
        (0.99999, "1.0000"),
        (1.0, "1.00"),
        (0.93, "0.93"),
        (12, "12"),
        (None, "–"),
        (0.994, "0.99"),
    ],
)
def test_what_is_less_than_one_is_not_written_as_one(value: float | None, text: str) -> None:
    assert number(value) == text


def test_the_mean_of_one_head_is_not_drawn_beside_it(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "epoch,loss,tune_auroc,tune_findings_auroc\n0,0.7,0.6,0.6\n1,0.5,0.7,0.7\n"
    )
    lines = history(tmp_path / "metrics.csv")
    assert lines is not None
    assert [series.name for series in lines.series] == ["loss on train", "findings, mean AUROC on tune"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("brier",), "x"),
        (("mean_auroc_ci95",), 5),
        (("labels", "Mass"), {}),
        (("labels", "Mass", "confusion"), "x"),
        (("labels", "Mass", "n_positive"), []),
        (("labels", "Mass", "threshold"), {}),
        (("curves", "Mass", "roc"), 5),
        (("curves", "Mass", "operating"), [1]),
        (("subgroups",), "x"),
        (("one_class",), {"a": 1}),
    ],
    ids=str,
)
def test_figures_of_another_shape_are_told_and_no_fault(
    tmp_path: Path, place: tuple[str, ...], value: object
) -> None:
    run = save_run(tmp_path / "run")
    (card,) = (run / "bundle").glob("*/card.json")
    content = json.loads(card.read_text(encoding="utf-8"))
    *keys, last = place
    found = content["metrics"]["report"]["Mass"]
    for key in keys:
        found = found[key]
    found[last] = value
    card.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(UnreadableError, match="not those of this program"):
        read_report(run)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 60_000, b" " * (2 << 20), b"{"], ids=len)
def test_a_damaged_explanation_check_is_told(tmp_path: Path, content: bytes) -> None:
    run = save_run(tmp_path / "run")
    (run / "explanations.json").write_bytes(content)
    with pytest.raises(UnreadableError, match="damaged"):
        read_report(run)


@pytest.mark.parametrize(
    "content", [b"\xff", b"epoch,loss\n0," + b"1" * 200_000, b"epoch,loss\n0,1e999\n"], ids=len
)
def test_damaged_metrics_draw_nothing(tmp_path: Path, content: bytes) -> None:
    run = save_run(tmp_path / "run")
    (run / "metrics.csv").write_bytes(content)
    assert "How training went" not in html_of(read_report(run))
