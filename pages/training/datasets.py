"""Data sets: name a folder, see what is in it, and how it would be split."""

from __future__ import annotations

from cxrviewer.datasets.remembering import remembered
from cxrviewer.settings import get_settings
from cxrviewer.ui import dataset_form, dataset_sections, datasets, shell
from cxrviewer.ui.room import room_state

with shell.screen():
    room = room_state()
    every = remembered(get_settings().data_dir)
    if room.adding or not every:
        dataset_form.show_form(room, first=not every)
    else:
        one = datasets.choose(every, room)
        known = datasets.read(one, room)
        if known is not None:
            datasets.headline(one, known)
            dataset_sections.choose_section(room)(one, known, room)
