"""The drop zone of the worklist and what it tells while files are taken in."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from cxrviewer.reading import Failure
from cxrviewer.ui import resources, shell
from cxrviewer.ui.importing import DEMONSTRATION_SIZE, ImportJob, demonstration, uploads
from cxrviewer.ui.rows import Cell, Column, Row, show_rows
from cxrviewer.ui.state import ViewerState, viewer_state

_POLL = 0.5
_REDRAW = 5
"""Studies taken in before the list below is drawn anew."""
_PHANTOMS = "No patient stands behind them, and no score on them means anything."


def drop_zone(state: ViewerState, *, large: bool) -> None:
    """Files, folders or ZIP archives; large while the archive is empty, else one line."""
    with st.container(
        key="drop-large" if large else "drop-small", horizontal=not large, vertical_alignment="center"
    ):
        given = [*_files(state, large)]
        if large:
            with st.container(
                key="drop-more", horizontal=True, horizontal_alignment="center", width="content"
            ):
                given += _folder(state)
                _demonstration(state)
            shell.intended_use()
        else:
            given += _folder(state)
    if given and not busy(state):
        chosen = [(file.name, file.getvalue) for file in given]
        state.job = ImportJob(resources.reader(), lambda: uploads(chosen), len(chosen)).start()
        # A new key empties the widget; the job lets go of the bytes when it ends.
        state.uploader += 1
        st.rerun()


def _files(state: ViewerState, large: bool) -> list[UploadedFile]:
    return st.file_uploader(
        "Drop chest radiographs here: DICOM, JPEG, PNG, or a ZIP of them",
        accept_multiple_files=True,
        key=f"drop-{state.uploader}",
        label_visibility="visible" if large else "collapsed",
    )


def _folder(state: ViewerState) -> list[UploadedFile]:
    with st.popover("Import a folder", type="tertiary"):
        return st.file_uploader(
            "A folder, with everything below it",
            accept_multiple_files="directory",
            key=f"folder-{state.uploader}",
        )


def _demonstration(state: ViewerState) -> None:
    """What an empty archive offers."""
    if st.button("Load demonstration studies: computer-made phantoms", type="tertiary", help=_PHANTOMS):
        state.job = ImportJob(resources.reader(), demonstration, DEMONSTRATION_SIZE).start()
        st.rerun()


def busy(state: ViewerState) -> bool:
    """True while a batch is being taken in."""
    return state.job is not None and not state.job.finished


def progress(state: ViewerState) -> None:
    """A slim bar while a batch runs; what failed when it has ended. A single good file opens at once."""
    job = state.job
    if job is None:
        return
    if not job.finished:
        st.fragment(_watch, run_every=_POLL)(job, len(job.opened) + job.scored)
        return
    if not job.seen:
        job.seen = True
        if job.total == 1 and len(job.opened) == 1:
            state.job = None
            state.open(job.opened[0].study_id, job.opened[0].digest)
            st.switch_page("pages/reading/viewer.py")
    if job.failures:
        _show_failures(job.failures, job.total)


def _watch(job: ImportJob, drawn: int) -> None:
    if job.finished or len(job.opened) + job.scored >= drawn + _REDRAW:
        st.rerun()
    st.progress(job.progress, text=job.line)


def _show_failures(failures: Sequence[tuple[str, Failure]], total: int) -> None:
    verb = "was" if len(failures) == 1 else "were"
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            shell.heading(f"{len(failures)} of {total} {verb} not taken in or not scored")
            if st.button("Close", type="tertiary"):
                viewer_state().job = None
                st.rerun()
        rows = [
            Row(
                str(number),
                name,
                (Cell(name or "file", title=name), Cell(failure.message, title=failure.message)),
                opens=False,
            )
            for number, (name, failure) in enumerate(failures)
        ]
        show_rows(
            "Files that need attention",
            (Column("minmax(0, 1fr)"), Column("minmax(0, 3fr)")),
            rows,
            key="failures",
        )
