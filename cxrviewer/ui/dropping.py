"""The drop zone of the worklist and what it tells while files are taken in."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from cxrviewer.reading import Failure
from cxrviewer.ui import resources, shell
from cxrviewer.ui.importing import ImportJob, demonstration, uploads
from cxrviewer.ui.rows import Cell, Column, Row, show_rows
from cxrviewer.ui.state import ViewerState

_POLL = 0.5


def drop_zone(state: ViewerState, *, large: bool) -> None:
    """Files, folders or ZIP archives; large while the archive is empty, else one line."""
    with st.container(key="drop-large" if large else "drop-small"):
        files = st.file_uploader(
            "Drop chest radiographs here: DICOM, JPEG, PNG, or a folder or ZIP of them",
            accept_multiple_files=True,
            key=f"drop-{state.uploader}",
            label_visibility="visible" if large else "collapsed",
        )
    if not large:
        with st.popover("Import a folder", type="tertiary"):
            folder = st.file_uploader(
                "A folder with everything below it",
                accept_multiple_files="directory",
                key=f"folder-{state.uploader}",
            )
    else:
        folder = st.file_uploader(
            "Or choose a folder", accept_multiple_files="directory", key=f"folder-{state.uploader}"
        )
    given = [*(files or ()), *(folder or ())]
    if given and (state.job is None or state.job.finished):
        chosen = [(file.name, file.getvalue) for file in given]
        state.job = ImportJob(resources.reader(), lambda: uploads(chosen), len(chosen)).start()
        # A new key empties the widget; the job lets go of the bytes when it ends.
        state.uploader += 1
        st.rerun()


def offer_demonstration(state: ViewerState) -> None:
    """What an empty archive offers."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Load demonstration studies", icon=":material/science:"):
            sources = demonstration()
            state.job = ImportJob(resources.reader(), lambda: sources, len(sources)).start()
            st.rerun()
        shell.quiet(
            "Computer-made phantoms: no patient stands behind them, and no score on them means anything."
        )


def progress(state: ViewerState) -> None:
    """A slim bar while a batch runs; what failed when it has ended. A single good file opens at once."""
    job = state.job
    if job is None:
        return
    if not job.finished:
        st.fragment(_watch, run_every=_POLL)(job)
        return
    if not job.seen:
        job.seen = True
        if job.total == 1 and len(job.opened) == 1:
            state.job = None
            state.open(*job.opened[0])
            st.switch_page("pages/reading/viewer.py")
    if job.failures:
        _show_failures(job.failures, job.total)


def _watch(job: ImportJob) -> None:
    if job.finished:
        st.rerun()
    st.progress(job.progress, text=f"Importing: {job.line}")


def _show_failures(failures: Sequence[tuple[str, Failure]], total: int) -> None:
    verb = "was" if len(failures) == 1 else "were"
    with st.container(border=True):
        shell.heading(f"{len(failures)} of {total} {verb} not taken in or not scored")
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
