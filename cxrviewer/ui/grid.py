"""Pictures beside each other with a line or two below; every text is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from cxrviewer.ui.viewport.media import address

_STYLE = """<style>
.cxr-grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(var(--tile), 1fr)); gap: 10px; }
.cxr-grid figure { margin: 0; min-width: 0; }
.cxr-grid .film { display: flex; align-items: center; justify-content: center; aspect-ratio: 1; background: #000;
  border-radius: 2px; overflow: hidden; color: #9aa7b4; font-size: 12px; text-align: center; }
.cxr-grid img { max-width: 100%; max-height: 100%; width: 100%; height: 100%; object-fit: contain; display: block; }
.cxr-grid figcaption { font-size: 12px; line-height: 16px; color: #9aa7b4; padding-top: 3px; }
.cxr-grid figcaption div { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.cxr-grid figcaption div:first-child { color: #e6edf3; }
</style>"""


@dataclass(frozen=True)
class Tile:
    """data: a JPEG, or None where there is none. lines: below it; the first stands out. alt: for those who listen."""

    data: bytes | None
    lines: tuple[str, ...]
    alt: str


def show_tiles(tiles: Sequence[Tile], *, place: str, width: int = 170) -> None:
    """Draw them, each at least `width` pixels wide. place: names this grid on the page."""
    figures = "".join(_figure(tile, f"{place}-{number}") for number, tile in enumerate(tiles))
    st.html(f'{_STYLE}<div class="cxr-grid" style="--tile: {width}px">{figures}</div>')


def _figure(tile: Tile, place: str) -> str:
    alt = html.escape(tile.alt, quote=True)
    if tile.data is None:
        film = "cannot be read"
    else:
        film = f'<img src="{html.escape(address(tile.data, "image/jpeg", place), quote=True)}" alt="{alt}">'
    lines = "".join(
        f'<div title="{html.escape(line, quote=True)}">{html.escape(line)}</div>' for line in tile.lines
    )
    return f'<figure><div class="film">{film}</div><figcaption>{lines}</figcaption></figure>'
