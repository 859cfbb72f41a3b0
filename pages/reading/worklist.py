"""The studies in the archive: drop files, filter, open."""

from __future__ import annotations

from cxrviewer.ui import dropping, resources, shell
from cxrviewer.ui.filters import filter_line, pages_line
from cxrviewer.ui.state import viewer_state
from cxrviewer.ui.studies import PAGE, show_studies, wanted

with shell.screen():
    state = viewer_state()
    archive = resources.archive()
    for notice in archive.notices():
        shell.note(notice, kind="caution")

    empty = archive.studies(size=1).total == 0
    if empty and dropping.busy(state):
        dropping.progress(state)
    else:
        dropping.drop_zone(state, large=empty)
        dropping.progress(state)
    if not empty:
        filter_line(state)
        page = archive.studies(wanted(state), state.page, PAGE)
        if page.rows:
            show_studies(page.rows, state)
            pages_line(page, state)
        else:
            shell.note("No study matches the filters.", "Clear the text or show all.")
        shell.models_of(page.rows)
