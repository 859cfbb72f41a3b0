"""A report as one page that stands alone: it asks no server for anything, and its own policy forbids it to (G9).

Every text is escaped. The drawing program of the figures stands in the page once.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
import plotly.io
from plotly.offline import get_plotlyjs

from cxrviewer.files import write_whole
from cxrviewer.reporting.figures import COLOURS, CONFIG, FIGURES, GROUND, LINE, PANEL, QUIET, TEXT
from cxrviewer.reporting.report import Block, Curves, Lines, Paragraph, Report, Section, Sliders, Table
from cxrviewer.reporting.wording import label_name

FEW = 12
"""Epochs up to which each has its own tick."""

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:"
)
"""Whatever a text might smuggle in, the browser fetches nothing and sends nothing."""

_STYLE = f"""
body {{ background: {GROUND}; color: {TEXT}; font: 14px/1.5 system-ui, sans-serif; margin: 24px auto; max-width: 1100px;
  padding: 0 16px; }}
h1 {{ font-size: 22px; font-weight: 600; margin-bottom: 0; }}
h2 {{ font-size: 17px; font-weight: 600; margin-top: 36px; border-top: 1px solid {LINE}; padding-top: 14px; }}
p.quiet, caption, summary {{ color: #9aa7b4; }}
p.caution {{ border-left: 3px solid #b8a44c; background: {PANEL}; padding: 4px 10px; margin: 6px 0; }}
.scrolls {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; margin: 8px 0; }}
caption {{ text-align: left; padding: 4px 0; }}
th, td {{ text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid {LINE}; vertical-align: top;
  overflow-wrap: anywhere; }}
th {{ color: #9aa7b4; font-weight: 500; white-space: nowrap; }}
td.n {{ white-space: nowrap; }}
.slider {{ background: {PANEL}; padding: 10px 14px; }}
.slider input[type=range] {{ width: min(480px, 60%); accent-color: #58a6ff; }}
.slider select, .slider input[type=number] {{ background: {GROUND}; color: {TEXT}; border: 1px solid {LINE};
  padding: 3px; }}
.slider label {{ margin-right: 14px; }}
"""

_SLIDE = """
for (const box of document.querySelectorAll('.slider')) {
  const all = JSON.parse(box.querySelector('script').textContent);
  const pick = box.querySelector('select'), range = box.querySelector('[type=range]');
  const share = box.querySelector('[type=number]'), out = box.querySelector('output');
  const say = (a, b) => b > 0 ? (a / b).toFixed(2) : '\\u2013';
  const show = () => {
    const one = all[pick.value], i = +range.value, tp = one.tp[i], fp = one.fp[i];
    const fn = one.p - tp, tn = one.n - fp, q = Math.min(Math.max(+share.value || 0, 0), 100) / 100;
    const se = tp / one.p, sp = tn / one.n;
    out.textContent = `threshold ${one.t[i].toFixed(3)}   called rightly ${tp}, wrongly ${fp}; missed ${fn}, ` +
      `passed rightly ${tn}\\nsensitivity ${se.toFixed(2)}   specificity ${sp.toFixed(2)}   here: ` +
      `PPV ${say(tp, tp + fp)}, NPV ${say(tn, tn + fn)}\\nwhere ${(100 * q).toFixed(1)} % are ill: PPV ` +
      `${say(q * se, q * se + (1 - q) * (1 - sp))}, NPV ${say((1 - q) * sp, (1 - q) * sp + q * (1 - se))}`;
  };
  const start = () => { const one = all[pick.value]; range.max = one.t.length - 1; range.value = one.at;
    share.value = (100 * one.p / (one.p + one.n)).toFixed(1); show(); };
  pick.onchange = start; range.oninput = show; share.oninput = show; start();
}
"""


def write_html(report: Report, path: Path) -> None:
    """Write the page by one rename."""
    write_whole(path, html_of(report))


def html_of(report: Report) -> str:
    """The page."""
    title = html.escape(report.title)
    sections = "\n".join(_section(section, number) for number, section in enumerate(report.sections))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{html.escape(POLICY)}">'
        f"<title>{title}</title><style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body>\n"
        f'<h1>{title}</h1><p class="quiet">{html.escape(report.about)}</p>\n{sections}\n'
        f"<script>{_SLIDE}</script></body></html>\n"
    )


def _section(section: Section, number: int) -> str:
    blocks = "\n".join(
        _BLOCKS[type(block)](block, f"s{number}b{place}") for place, block in enumerate(section.blocks)
    )
    return f"<section><h2>{html.escape(section.title)}</h2>\n{blocks}</section>"


def _paragraph(block: Paragraph, _key: str) -> str:
    return f'<p class="{block.kind}">{html.escape(block.text)}</p>'


def _table(block: Table, _key: str) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in block.columns)
    rows = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in block.rows)
    caption = f"<caption>{html.escape(block.caption)}</caption>" if block.caption and not block.folded else ""
    table = f'<div class="scrolls"><table>{caption}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'
    if not block.folded:
        return table
    name = html.escape(block.caption or block.columns[0])
    return f"<details><summary>{name}: {len(block.rows)} lines</summary>{table}</details>"


def _cell(text: str) -> str:
    short = ' class="n"' if len(text) < 22 else ""
    return f"<td{short}>{html.escape(text)}</td>"


def _figure(figure: go.Figure, key: str, height: str) -> str:
    return str(plotly.io.to_html(
        figure, full_html=False, include_plotlyjs=False, default_height=height, div_id=key,
        config=CONFIG | {"displayModeBar": False},
    ))  # fmt: skip


def _curves(block: Curves, key: str) -> str:
    return _figure(FIGURES[block.kind](block.curves, block.kind), key, "560px")


def _lines(block: Lines, key: str) -> str:
    """A small figure a line: losses, rates and areas have scales of their own."""
    return "\n".join(
        _figure(_line(block, number), f"{key}l{number}", "220px") for number in range(len(block.series))
    )


def _line(block: Lines, number: int) -> go.Figure:
    series = block.series[number]
    axis = {"gridcolor": LINE, "zerolinecolor": LINE, "linecolor": LINE, "color": QUIET}
    figure = go.Figure(
        layout=go.Layout(
            title={"text": html.escape(series.name), "font": {"size": 14}}, paper_bgcolor=GROUND, plot_bgcolor=PANEL,
            font={"color": TEXT, "family": "system-ui, sans-serif", "size": 12},
            xaxis=axis | {"title": block.x} | ({"dtick": 1} if len(series.x) <= FEW else {}),
            yaxis=axis | {"exponentformat": "power"}, margin={"l": 56, "r": 16, "t": 36, "b": 40},
        )
    )  # fmt: skip
    figure.add_scatter(
        x=series.x, y=series.y, mode="lines+markers", line={"color": COLOURS[number % len(COLOURS)], "width": 2},
        marker={"size": 5},
    )  # fmt: skip
    return figure


def _sliders(block: Sliders, _key: str) -> str:
    data = {name: _points(block, name) for name in block.points}
    options = "".join(
        f'<option value="{html.escape(name)}">{html.escape(label_name(name))}</option>'
        for name in block.points
    )
    return (
        f'<div class="slider"><p>Move the threshold and see what it costs.</p><label>Label <select>{options}</select>'
        '</label><label>threshold <input type="range" min="0" step="1"></label><label>ill, in % '
        '<input type="number" min="0" max="100" step="0.1"></label>'
        f'<pre><output></output></pre><script type="application/json">{in_script(data)}</script></div>'
    )


def _points(block: Sliders, name: str) -> dict[str, Any]:
    points, own = block.points[name], block.own.get(name)
    at = points.start(own)
    return {
        "t": points.thresholds.tolist(), "tp": points.tp.tolist(), "fp": points.fp.tolist(),
        "p": points.n_positive, "n": points.n_negative, "at": at,
    }  # fmt: skip


def in_script(data: object) -> str:
    """JSON that no text in it can end the script element of."""
    return (
        json.dumps(data, ensure_ascii=True, allow_nan=False).replace("<", "\\u003c").replace(">", "\\u003e")
    )


_BLOCKS: dict[type[Block], Callable[[Any, str], str]] = {
    Paragraph: _paragraph,
    Table: _table,
    Curves: _curves,
    Lines: _lines,
    Sliders: _sliders,
}


def texts_of(report: Report) -> Iterator[str]:
    """Every text of a report, for whoever looks for one."""
    for section in report.sections:
        yield section.title
        for block in section.blocks:
            if isinstance(block, Paragraph):
                yield block.text
            elif isinstance(block, Table):
                yield from (block.caption, *block.columns, *(cell for row in block.rows for cell in row))
