"""Which study the viewer shows, and the line that heads it."""

from __future__ import annotations

import streamlit as st

from cxrviewer.archive import StudyRow
from cxrviewer.errors import NotFoundError
from cxrviewer.ui import resources, shell, words
from cxrviewer.ui.state import ViewerState

_PARAMETER = "study"


def open_study(state: ViewerState) -> StudyRow | None:
    """The study of this session, or the one that the address names after a reload; None where there is none.

    The address holds a digest, nothing of the patient's. Raises NotFoundError, ArchiveError.
    """
    named = st.query_params.get(_PARAMETER)
    if state.study is None and named:
        row = resources.archive().study(named)
        state.open(row.id, row.digest)
    if state.study is None:
        return None
    try:
        row = resources.archive().study(state.study)
    except NotFoundError:
        state.study = state.digest = None
        st.query_params.clear()
        raise
    if named != state.study:
        st.query_params[_PARAMETER] = state.study
    return row


def nothing_open() -> None:
    """What to do when the viewer is entered without a study."""
    shell.note("No study is open.", "Choose one in the worklist, or drop a file there.")
    st.page_link("pages/reading/worklist.py", label="Go to the worklist", icon=":material/arrow_back:")


def study_line(study: StudyRow, state: ViewerState) -> None:
    """Back to the list, who and what this is, and the choice where a study has several pictures."""
    instances = resources.archive().instances(study.id)
    back, title, several = st.columns([1.0, 6, 2.4], vertical_alignment="center")
    back.page_link("pages/reading/worklist.py", label="Worklist", icon=":material/arrow_back:")
    chosen = next((row for row in instances if row.digest == state.digest), instances[0])
    with title:
        shell.title(words.picture_title(study.identity, chosen.metadata, state.names_shown))
    if len(instances) > 1:
        digests = [row.digest for row in instances]
        views = {
            row.digest: row.metadata.view.value if row.metadata.view else "view not stated"
            for row in instances
        }
        digest = several.selectbox(
            "Picture",
            digests,
            index=digests.index(chosen.digest),
            format_func=lambda digest: f"{digests.index(digest) + 1} of {len(digests)}: {views[digest]}",
            label_visibility="collapsed",
            key=f"picture-{study.id}",
        )
        if digest != state.digest:
            state.open(study.id, digest)
            st.rerun()
