"""The split of a data set: how it is dealt, and what each part would hold."""

from __future__ import annotations

import streamlit as st

from cxrviewer.datasets.dataset import Part
from cxrviewer.datasets.describing import Parts
from cxrviewer.datasets.remembering import Remembered, remember
from cxrviewer.settings import get_settings
from cxrviewer.ui import resources, shell
from cxrviewer.ui.dataset_words import SPLITS
from cxrviewer.ui.room import RoomState
from cxrviewer.ui.room_jobs import Known
from cxrviewer.ui.tables import show_table
from cxrviewer.ui.words import counted, name_label

SEED = 1
"""A recipe's own default; another seed deals other groups in the same shares."""
FEW_POSITIVES = 20
FEW_PATIENTS = 20
_WAIT = 3.0


def show_split(one: Remembered, known: Known, room: RoomState) -> None:
    """The choice on the left, what it makes of the data set on the right."""
    left, right = st.columns([1, 2.2], gap="medium")
    with left:
        wanted = _choice(one, known)
        if wanted != one and st.button("Keep this split", type="primary"):
            remember(get_settings().data_dir, wanted)
            st.rerun()
        if wanted == one:
            shell.quiet("This is the split that a run takes unless its recipe says otherwise.")
    with right:
        _offer_people(wanted, known, room)
        job = resources.room_jobs().parts(wanted, known, SEED)
        if not job.wait(_WAIT):
            from cxrviewer.ui.datasets import waiting

            waiting(job, "Dealing the groups.", job.cancel)
        elif job.result is None:
            shell.note("It cannot be split so.", job.failure.message if job.failure else "", kind="error")
        else:
            _table(job.result)


def _choice(one: Remembered, known: Known) -> Remembered:
    ways = [way for way in SPLITS if way != "official" or known.description.official]
    place = f"{one.name}-{one.model_dump_json()}"
    way = st.selectbox(
        "Split", ways, index=ways.index(one.split) if one.split in ways else 0,
        format_func=SPLITS.__getitem__, key=f"split-way-{place}",
    )  # fmt: skip
    folds = st.number_input(
        "Folds",
        0,
        100,
        one.folds,
        key=f"split-folds-{place}",
        help="0: no folds. k folds: one is reported on, the next tuned on.",
    )
    fold = (
        st.number_input(
            "Fold to report on",
            0,
            max(folds - 1, 0),
            min(one.fold, max(folds - 1, 0)),
            key=f"split-fold-{place}",
        )
        if folds
        else 0
    )
    tune, report = one.tune, one.report
    if not folds:
        tune = st.slider("Share to tune", 0.0, 0.5, one.tune, 0.05, key=f"split-tune-{place}")
        report = st.slider(
            "Share to report",
            0.0,
            0.5,
            one.report,
            0.05,
            key=f"split-report-{place}",
            disabled=way == "official",
        )
    changes = {"split": way, "folds": folds, "fold": fold, "tune": tune, "report": report}
    return Remembered.model_validate(one.model_dump() | changes)


def _offer_people(wanted: Remembered, known: Known, room: RoomState) -> None:
    """The owner's own tune part can be too small to choose by (16 pictures in Kermany's)."""
    val = known.description.official.get(Part.TUNE, 0)
    if wanted.split == "official" and 0 < val < FEW_PATIENTS and not wanted.folds:
        shell.note(
            f"The owner's part to tune on has {counted(val, 'picture')}, too few to choose by.",
            "Dealt by person, each part gets its share, and nobody stands in two.",
            kind="caution",
        )
        if st.button("Deal it by person instead"):
            remember(
                get_settings().data_dir, Remembered.model_validate(wanted.model_dump() | {"split": "patient"})
            )
            st.rerun()


def _table(parts: Parts) -> None:
    """Parts as columns, labels as rows."""
    names = [part.value for part in Part]
    table: dict[str, list[object]] = {
        " ": ["Pictures", "Patients", *(name_label(name) for name in parts.labels)]
    }
    for number, name in enumerate(names):
        table[name] = [parts.images[number], parts.patients[number], *parts.positive[number].tolist()]
    show_table(table)
    shell.quiet(
        "Below patients: positive pictures of each label. Nobody stands in two parts; that is checked before every run."
    )
    few = [
        name_label(name)
        for name, count in zip(parts.labels, parts.positive[2], strict=True)
        if 0 < count < FEW_POSITIVES
    ]
    if few:
        shell.note(
            f"Fewer than {FEW_POSITIVES} positives to report on: {', '.join(few)}.",
            "Their intervals will be wide, and they get no operating point of their own.",
            kind="caution",
        )
