"""What may leave the machine, and text that is safe to show.

A scrubbed file is not an anonymous one: tags and burned-in text may still tell who the patient is.
"""

from __future__ import annotations

import unicodedata
from typing import Final

PREAMBLE_BYTES: Final = 128
_MAGIC: Final = b"DICM"

_DROPPED: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Unicode categories without a visible mark: control (terminal escapes start with one), format (bidirectional
overrides, zero width), surrogates, private use, unassigned."""


def scrub_preamble(data: bytes) -> bytes:
    """DICOM bytes with the 128 bytes before `DICM` set to zero; anything else comes back as it is.

    The preamble is free for the application (PS3.10 7.1), so a file may be a program or another picture at the same
    time. Stored and exported files must not carry that on (promise G13).
    """
    if data[PREAMBLE_BYTES : PREAMBLE_BYTES + 4] != _MAGIC:
        return data
    return bytes(PREAMBLE_BYTES) + data[PREAMBLE_BYTES:]


def plain_text(value: str, limit: int = 120) -> str:
    """One line of visible characters, at most `limit` of them; white space is collapsed, a cut ends in an ellipsis."""
    head = value[: 8 * limit]
    kept = "".join(
        " " if c.isspace() else c for c in head if c.isspace() or unicodedata.category(c) not in _DROPPED
    )
    text = " ".join(kept.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def visible(name: str, limit: int = 1024) -> str:
    """A file or member name to show: as it is, but for characters without a visible mark, which become `?`."""
    return "".join("?" if unicodedata.category(c) in _DROPPED else c for c in name[:limit])
