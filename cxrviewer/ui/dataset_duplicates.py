"""The near-duplicates of a data set: found on request, shown in pairs, and kept together where that is wished."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from cxrviewer.datasets.grouping import join_listed
from cxrviewer.datasets.near_duplicates import Duplicates, Pair
from cxrviewer.datasets.remembering import Remembered, keep_pairs, remember
from cxrviewer.reporting.wording import number
from cxrviewer.settings import get_settings
from cxrviewer.ui import resources, shell
from cxrviewer.ui.datasets import waiting
from cxrviewer.ui.grid import Tile, show_tiles
from cxrviewer.ui.room import RoomState
from cxrviewer.ui.room_jobs import Known
from cxrviewer.ui.tables import show_table
from cxrviewer.ui.words import counted

SHOWN_PAIRS = 12
"""Pairs with pictures; the table lists more."""
LISTED_PAIRS = 500
_WAIT = 1.0


def show_duplicates(one: Remembered, known: Known, room: RoomState) -> None:
    """The same and nearly the same pictures, and whether a split could part them."""
    jobs = resources.room_jobs()
    job = jobs.compared(one)
    if job is None or job.unwanted:
        shell.note(
            "Every picture is compared with every other.",
            f"{known.description.images:,} files are read once: by bytes, then by what they show. "
            "It goes on while you do other things.",
        )
        if st.button("Compare the pictures", type="primary"):
            jobs.duplicates(one, known, room.owner)
            st.rerun()
        return
    if not job.finished:
        waiting(
            job,
            f"Comparing {known.description.images:,} pictures.",
            lambda: jobs.stop_comparing(one, room.owner),
        )
        return
    if job.result is None:
        shell.note("The comparison failed.", job.failure.message if job.failure else "", kind="error")
        return
    pairs = found_pairs(one, known, job.result)
    _verdict(one, known, job.result, pairs)
    if pairs:
        _pairs(one, known, job.result, pairs)


@dataclass(frozen=True)
class Found:
    """A pair on the page. stranger: it names two patients. parted: a run might put its pictures in different parts."""

    pair: Pair
    stranger: bool
    parted: bool


def found_pairs(one: Remembered, known: Known, found: Duplicates) -> tuple[Found, ...]:
    """Every pair, those first that a split could part: neither identical, nor of one patient, nor kept together.

    Raises NotFoundError or LabelFileError where the kept list is gone or of other pictures.
    """
    dataset = join_listed(known.dataset, Path(one.together)) if one.together else known.dataset
    rows, out = dataset.rows, []
    for pair in found.pairs:
        first, second = rows[pair.first], rows[pair.second]
        parted = not pair.identical and first.group != second.group
        out.append(Found(pair, first.patient != second.patient, parted))
    return tuple(sorted(out, key=lambda found: not found.parted))


def _verdict(one: Remembered, known: Known, found: Duplicates, pairs: Sequence[Found]) -> None:
    identical, leaks = sum(pair.identical for pair in found.pairs), sum(pair.parted for pair in pairs)
    said = (
        f"{counted(identical, 'pair')} of identical files, {len(found.pairs) - identical:,} nearly identical"
    )
    said += "." if found.whole else ", and more that are not listed."
    if leaks:
        shell.note(
            f"{counted(leaks, 'pair')} could stand in two parts of a split.",
            f"{said} Keep the pairs, and both pictures of each go to the same part of every run.",
            kind="caution",
        )
        if st.button("Keep the pairs together", type="primary"):
            keep_pairs(get_settings().data_dir, one, as_csv(known, found))
            st.rerun()
    else:
        kept = " The pairs are kept together." if one.together else ""
        shell.note("No pair could stand in two parts of a split.", f"{said}{kept}")
    if one.together and st.button(
        "Let the pairs go", type="tertiary", help="Only identical files then stay together."
    ):
        remember(get_settings().data_dir, one.model_copy(update={"together": ""}))
        st.rerun()
    if found.unreadable:
        shell.note(
            f"{counted(len(found.unreadable), 'picture')} could not be read.",
            ", ".join(found.unreadable[:5]),
            kind="caution",
        )


def _pairs(one: Remembered, known: Known, found: Duplicates, pairs: Sequence[Found]) -> None:
    """A table of the first ones, all of them as a file, and the very first as pictures."""
    rows, listed = known.dataset.rows, pairs[:LISTED_PAIRS]
    table = {
        "First": [rows[each.pair.first].image for each in listed],
        "Second": [rows[each.pair.second].image for each in listed],
        "Files": ["identical" if each.pair.identical else "differ" for each in listed],
        "Likeness": [number(each.pair.likeness, 3) for each in listed],
        "Patient": ["another" if each.stranger else "the same" for each in listed],
        "Kept together": ["no" if each.parted else "yes" for each in listed],
    }
    show_table(table, lines=7)
    st.download_button(
        "Download the list", as_csv(known, found), "near_duplicates.csv", "text/csv", type="tertiary"
    )
    shown = [each.pair for each in pairs[:SHOWN_PAIRS]]
    indices = tuple(index for pair in shown for index in (pair.first, pair.second))
    job = resources.room_jobs().samples(one, known, indices, False)
    if not job.wait(_WAIT):
        waiting(job, "Drawing the pictures.", job.cancel)
        return
    drawn = job.result or (None,) * len(indices)
    tiles = [
        Tile(data, (_pair_words(place // 2, shown), rows[index].image), "One of a pair")
        for place, (index, data) in enumerate(zip(indices, drawn, strict=True))
    ]
    show_tiles(tiles, place="pairs", width=180)


def _pair_words(number: int, pairs: Sequence[Pair]) -> str:
    return f"pair {number + 1}{', identical' if pairs[number].identical else ''}"


def as_csv(known: Known, found: Duplicates) -> bytes:
    """Columns a and b, as `grouping.join_listed` and the reader of Kermany et al. take them."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("a", "b", "identical", "likeness"))
    for pair in found.pairs:
        names = (known.dataset.rows[pair.first].image, known.dataset.rows[pair.second].image)
        writer.writerow((*names, int(pair.identical), f"{pair.likeness:.4f}"))
    return text.getvalue().encode()
