"""The data sets' page in parts: which one, its headline, and its sections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from cxrviewer.datasets.remembering import Remembered, forget
from cxrviewer.reading import Job
from cxrviewer.settings import get_settings
from cxrviewer.ui import dataset_form, resources, shell
from cxrviewer.ui.dataset_words import READERS
from cxrviewer.ui.room import RoomState
from cxrviewer.ui.room_jobs import Known
from cxrviewer.ui.words import counted

_POLL = 0.7
_WAIT = 0.4
_MISSING = 200
"""Missing files that are listed; the count tells the rest."""


def choose(all_known: Sequence[Remembered], room: RoomState) -> Remembered:
    """The line above everything: which data set, and what can be done with the choice."""
    names = [one.name for one in all_known]
    if room.dataset not in names:
        room.dataset = names[0]
    with st.container(horizontal=True, vertical_alignment="center"):
        name = st.selectbox(
            "Data set", names, index=names.index(room.dataset), label_visibility="collapsed", width=300,
            key=f"dataset-{len(names)}-{room.dataset}",
        )  # fmt: skip
        if name != room.dataset:
            room.dataset = name
            st.rerun()
        one = all_known[names.index(name)]
        if st.button("Add another"):
            dataset_form.begin(room)
            st.rerun()
        if st.button("Change", help="Another folder, other options or another name."):
            dataset_form.begin(room, one)
            st.rerun()
        with st.popover("Forget", type="tertiary"):
            shell.quiet("The name and your choices are forgotten. The pictures stay where they are.")
            if st.button("Forget this data set"):
                forget(get_settings().data_dir, one.name)
                room.dataset = None
                st.rerun()
    return one


def read(one: Remembered, room: RoomState) -> Known | None:
    """Its rows and numbers; in their place progress with a button to stop, or why they cannot be had."""
    jobs = resources.room_jobs()
    if one.same_data in room.stopped:
        shell.note("The reading was stopped.")
        if st.button("Read it again"):
            room.stopped.discard(one.same_data)
            st.rerun()
        return None
    job = jobs.known(one, room.owner)
    if not job.wait(_WAIT):
        waiting(job, "Reading the label files.", lambda: _stop(one, room))
        return None
    if job.result is None:
        shell.note(
            "The data set cannot be used.",
            job.failure.message if job.failure else "It was stopped.",
            kind="error",
        )
        if st.button("Read it again"):
            jobs.again(one)
            st.rerun()
        return None
    return job.result


def _stop(one: Remembered, room: RoomState) -> None:
    room.stopped.add(one.same_data)
    resources.room_jobs().stop_reading(one, room.owner)


def waiting(job: Job[Any], words: str, stop: Callable[[], None], at: Callable[[], str] = lambda: "") -> None:
    """Progress of a job and a button that stops it; the page is drawn anew when it has ended. at: what it does now."""
    st.fragment(_watch, run_every=_POLL)(job, words, stop, at)


def _watch(job: Job[Any], words: str, stop: Callable[[], None], at: Callable[[], str]) -> None:
    if job.finished:
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        now = at()
        st.progress(job.progress, text=f"{words} {now[:1].upper()}{now[1:]}".strip(), width=340)
        if st.button("Stop", key=f"stop-{words}"):
            stop()
            st.rerun()


def headline(one: Remembered, known: Known) -> None:
    """What it is in one line, under which terms, and what the reader wants to be known."""
    data, found = known.dataset, known.description
    missing = len(data.missing)
    shell.title(
        (
            READERS[one.reader][0],
            counted(found.images, "picture"),
            counted(found.people, "patient"),
            f"{counted(missing, 'file')} missing",
            *(f"{count:,} {name}" for name, count in found.marks.items()),
        )
    )
    terms = ". ".join(part for part in (data.licence and f"Licence: {data.licence}", data.citation) if part)
    shell.quiet(terms or "Licence not stated: ask whoever made it.", one.root)
    for note in data.notes:
        shell.note(note, kind="caution")
    if missing:
        with st.expander(f"{missing:,} pictures are named by a label file and lack in the folder"):
            listed = [data.missing[index] for index in range(min(missing, _MISSING))]
            st.dataframe({"Missing file": listed}, hide_index=True, height=220)
            if missing > _MISSING:
                shell.quiet(f"The first {_MISSING}. A run leaves all of them out and says how many.")
