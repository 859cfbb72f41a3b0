"""The sections of the data sets' page: numbers, pictures, duplicates, the split."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from cxrviewer.datasets.describing import AGE_STEP, MANY, Description
from cxrviewer.datasets.remembering import Remembered
from cxrviewer.reporting.dataset_figures import age_figure, tally_figure, together_figure
from cxrviewer.ui import resources, shell
from cxrviewer.ui.charts import show_plain
from cxrviewer.ui.dataset_duplicates import show_duplicates
from cxrviewer.ui.dataset_split import show_split
from cxrviewer.ui.datasets import waiting
from cxrviewer.ui.grid import Tile, show_tiles
from cxrviewer.ui.room import RoomState
from cxrviewer.ui.room_jobs import Known
from cxrviewer.ui.tables import show_table
from cxrviewer.ui.words import name_label

SAMPLES = 12
_WAIT = 1.0

Section = Callable[[Remembered, Known, RoomState], None]


def overview(one: Remembered, known: Known, room: RoomState) -> None:
    """Labels with what balancing would make of them, which of them stand together, and who was examined how."""
    found = known.description
    left, right = st.columns([1.15, 1], gap="medium")
    with left:
        shell.heading("Labels", "a cell that is not stated never counts as negative")
        show_table(_label_table(found))
        shell.quiet(
            "w+ and w− weigh a positive and a negative picture in the weighted loss: the other class's share. "
            "Unweighted, the classes pull as Share says; weighted, each pulls one half."
        )
    with right:
        if len(found.labels) > 1:
            shell.heading(
                "Labels together", "of the row's pictures, the share that has the column's label too"
            )
            show_plain(
                together_figure([name_label(name) for name in found.labels], found.together), key="together"
            )
    ages, views, each = st.columns(3, gap="medium")
    with ages:
        shell.heading("Ages", _age_words(found))
        if found.ages.sum():
            show_plain(age_figure(found.ages.tolist(), AGE_STEP), key="ages")
    with views:
        shell.heading("Views and sexes")
        show_plain(tally_figure(found.views, "pictures by view"), key="views")
        show_plain(tally_figure(found.sexes, "pictures by sex"), key="sexes")
    with each:
        shell.heading("Pictures of one patient", f"{found.groups:,} groups that no split parts")
        show_plain(tally_figure(_each(found), "patients"), key="each")


def _label_table(found: Description) -> dict[str, list[object]]:
    return {
        "Label": [name_label(name) for name in found.labels],
        "Positive": found.positive.tolist(),
        "Negative": found.negative.tolist(),
        "Not stated": found.unstated.tolist(),
        "Share": [_two(value) for value in found.share],
        "Patients": found.patients.tolist(),
        "Per patient": [
            _two(p / n if n else np.nan) for p, n in zip(found.positive, found.patients, strict=True)
        ],
        "w+": [_two(value) for value in found.weights[0]],
        "w−": [_two(value) for value in found.weights[1]],
    }


def _two(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"


def _age_words(found: Description) -> str:
    stated = int(found.ages.sum())
    if not stated:
        return "not one picture states an age"
    return "" if stated == found.images else f"{found.images - stated:,} not stated"


def _each(found: Description) -> dict[str, int]:
    names = [str(number) for number in range(1, MANY)] + [f"{MANY} or more"]
    return {name: int(count) for name, count in zip(names, found.pictures_each, strict=True) if count}


def pictures(one: Remembered, known: Known, room: RoomState) -> None:
    """A sample, drawn at random, with its boxes or masks."""
    rows, labels = known.dataset.rows, known.description.labels
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = st.selectbox(
            "Label", ["any", *labels], format_func=name_label, key=f"sample-label-{one.name}", width=220
        )
        state = st.selectbox(
            "Which is",
            ["positive", "negative", "not stated"],
            key="sample-state",
            width=160,
            disabled=label == "any",
        )
        boxes = st.toggle("Boxes and masks", value=True, key="sample-marks")
        if st.button("Show others"):
            room.seed += 1
            st.rerun()
    wanted = {"positive": 1.0, "negative": 0.0, "not stated": None}[state]
    fits = [i for i, row in enumerate(rows) if label == "any" or row.labels.get(label) == wanted]
    if not fits:
        shell.note("No picture fits.")
        return
    chosen = np.random.default_rng(room.seed).choice(len(fits), min(SAMPLES, len(fits)), replace=False)
    indices = tuple(fits[index] for index in sorted(chosen.tolist()))
    job = resources.room_jobs().samples(one, known, indices, boxes)
    if not job.wait(_WAIT):
        waiting(job, "Drawing the pictures.", job.cancel)
        return
    drawn = job.result or (None,) * len(indices)
    tiles = [
        Tile(data, (_positives(known, index), rows[index].image), "A sample picture")
        for index, data in zip(indices, drawn, strict=True)
    ]
    shell.quiet(f"{len(indices)} of {len(fits):,} pictures. Boxes are orange, masks blue.")
    show_tiles(tiles, place="samples")


def _positives(known: Known, index: int) -> str:
    names = [name_label(name) for name, value in known.dataset.rows[index].labels.items() if value == 1]
    return ", ".join(names) or "no positive label"


def augmentation(one: Remembered, known: Known, room: RoomState) -> None:
    """What a recipe's default changes do to a picture of this data set."""
    from cxrviewer.training.config import Augmentation
    from cxrviewer.ui.recipe_examples import show_examples

    shell.quiet(
        "Each change of a recipe as it comes, alone and at its strongest; the launch page shows your own choice."
    )
    show_examples(known, Augmentation(), None, room, everything=True)


SECTIONS: dict[str, Section] = {
    "Overview": overview,
    "Pictures": pictures,
    "Duplicates": show_duplicates,
    "Split": show_split,
    "Augmentation": augmentation,
}
"""What the page offers of a data set, in order."""


def choose_section(room: RoomState) -> Section:
    """One at a time: a tab would draw them all."""
    if room.section not in SECTIONS:
        room.section = next(iter(SECTIONS))
    if "dataset-section" not in st.session_state:
        st.session_state["dataset-section"] = room.section
    chosen = st.segmented_control(
        "Section", list(SECTIONS), key="dataset-section", label_visibility="collapsed"
    )
    room.section = chosen or room.section
    return SECTIONS[room.section]
