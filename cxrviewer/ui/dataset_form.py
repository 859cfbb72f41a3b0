"""Choosing a data set: which reader, which folder, its options, and a name to remember it by."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import streamlit as st

from cxrviewer.datasets.remembering import Remembered, checked, forget, remember, remembered
from cxrviewer.errors import CxrError
from cxrviewer.settings import get_settings
from cxrviewer.ui import shell
from cxrviewer.ui.dataset_words import OPTION_WORDS, OPTIONS, READERS, WHERE
from cxrviewer.ui.forms import NONE, Form, ask_all
from cxrviewer.ui.room import RoomState
from cxrviewer.ui.words import counted

_LOOKED_AT = 2000
"""Entries of a folder that are counted while its name is typed."""


def begin(room: RoomState, one: Remembered | None = None) -> None:
    """Open the form, empty or with what is known of a data set."""
    room.adding, room.changing = True, one.name if one else None
    room.source.replace(
        one.model_dump(mode="json") if one else {"reader": "kermany", "root": "", "options": {}, "name": ""}
    )


def show_form(room: RoomState, *, first: bool) -> None:
    """The form beside what the chosen reader expects. first: nothing is remembered yet."""
    form = room.source
    if not form.values:
        begin(room)
    left, right = st.columns([3, 2], gap="large")
    with left:
        shell.heading("Change the data set" if room.changing else "Add a data set")
        _select(form, "reader", "What it is", list(READERS), lambda name: READERS[name][0])
        _text(form, "root", "Folder on this machine", "/data/chest-xrays")
        root = Path(form.get("root", "").strip()).expanduser()
        _folder_line(root, form.get("root", ""))
        _options(form, root)
        _text(form, "name", "Remember it as", _suggested(root, room))
        with st.container(horizontal=True):
            if st.button("Read the folder", type="primary"):
                _take(room, root)
            if not first and st.button("Cancel", type="tertiary"):
                room.adding = False
                st.rerun()
    with right:
        title, layout = READERS[form.get("reader")]
        shell.heading("What it expects")
        shell.quiet(f"{title}: {layout}.")
        shell.quiet(WHERE)


def _select(form: Form, path: str, label: str, options: Sequence[str], say: Any) -> None:
    st.selectbox(
        label, options, key=form.bind(path, form.get(path, options[0])), format_func=say,
        on_change=partial(form.keep, path),
    )  # fmt: skip


def _text(form: Form, path: str, label: str, placeholder: str) -> None:
    st.text_input(
        label, key=form.bind(path, form.get(path, "")), placeholder=placeholder, on_change=partial(form.keep, path)
    )  # fmt: skip


def _folder_line(root: Path, typed: str) -> None:
    """Whether the folder is there, and what it holds at first sight."""
    if not typed.strip():
        shell.quiet("The whole path; ~ stands for your own folder.")
    elif not root.is_absolute():
        shell.note("The path must begin at the root.", "For example /data/chest-xrays.", kind="caution")
    elif not root.is_dir():
        shell.note("There is no such folder on this machine.", kind="caution")
    else:
        shell.quiet(_counted(root))


def _counted(root: Path) -> str:
    try:
        entries = list(islice(root.iterdir(), _LOOKED_AT))
        folders = sum(entry.is_dir() for entry in entries)
    except OSError:
        return "The folder is there, but may not be read by whoever started the app."
    tables = sum(entry.suffix.lower() == ".csv" for entry in entries)
    more = " or more" if len(entries) == _LOOKED_AT else ""
    files = len(entries) - folders - tables
    return (
        f"Directly inside: {counted(folders, 'folder')}, {counted(tables, 'table')} (.csv), "
        f"{counted(files, 'other file')}{more}."
    )


def _options(form: Form, root: Path) -> None:
    """The reader's own model as a form; for a table its columns are offered."""
    from cxrviewer.datasets import DATASETS

    reader = form.get("reader")
    model = DATASETS[reader].options
    if model is None:
        return
    choices: Mapping[str, Sequence[Any]] = _columns(form, root) if reader == "csv" else {}
    if reader == "torchxrayvision":
        from cxrviewer.datasets.xrayvision import CLASSES

        choices = {"data": CLASSES}
    with st.container(border=True):
        shell.quiet("Options of this reader")
        words = dict(OPTIONS)
        if reader == "folder":
            words["patient"] = ("Patient in the file's name", r"A regular expression, such as person(\d+).")
        if reader == "chexpert":
            words["labels"] = ("Another policy for some labels", 'As JSON: {"Edema": "ones"}.')
        ask_all(
            form,
            "options",
            model,
            words,
            columns=2,
            choices=choices,
            say=partial(_said, len(choices.get("file", ()))),
        )


def _said(tables: int, option: str, value: Any) -> str:
    """How a choice of an option reads. tables: choices of a table, with the empty one."""
    if value == "":
        return "choose one" if option == "data" or (option == "file" and tables > 2) else NONE
    return OPTION_WORDS.get((option, value), str(value))


def _columns(form: Form, root: Path) -> dict[str, Sequence[Any]]:
    """The tables of the folder, and the chosen one's columns; an empty choice is guessed."""
    from cxrviewer.datasets.label_file import header_of

    try:
        tables = sorted(path.name for path in root.glob("*.csv")) if root.is_absolute() else []
    except OSError:
        tables = []
    chosen = form.get("options.file") or (tables[0] if len(tables) == 1 else "")
    try:
        header = [name for name in header_of(root / chosen) if name] if chosen in tables else []
    except CxrError as error:
        shell.problem(error)
        header = []
    columns = ["", *header]
    keys = ("path", "patient", "view", "age", "sex", "split")
    return {"file": ["", *tables], **dict.fromkeys(keys, columns), "labels": header}


def _suggested(root: Path, room: RoomState) -> str:
    """After the folder, with a number where another data set is called so."""
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", root.name).strip("-.") or "my-data-set"
    used = _used(room)
    return next(
        name for name in (stem, *(f"{stem}-{n}" for n in range(2, len(used) + 3))) if name not in used
    )


def _before(room: RoomState) -> tuple[str, str, str] | None:
    known = remembered(get_settings().data_dir)
    return next((one.same_data for one in known if one.name == room.changing), None)


def _used(room: RoomState) -> set[str]:
    """Names of the other data sets."""
    return {one.name for one in remembered(get_settings().data_dir)} - {room.changing}


def _take(room: RoomState, root: Path) -> None:
    """Remember what was chosen; reading it is the page's next step."""
    from cxrviewer.datasets import DATASETS

    form, values = room.source, dict(room.source.values)
    model = DATASETS[form.get("reader")].options
    allowed = set(model.model_fields) if model else set()
    options = {k: v for k, v in (form.get("options") or {}).items() if k in allowed and v not in ("", [], {})}
    values |= {
        "root": str(root),
        "options": options,
        "name": form.get("name", "").strip() or _suggested(root, room),
    }
    if not (root.is_absolute() and root.is_dir()):
        shell.note("Name a folder that is there.", kind="error")
        return
    one = checked(**values)
    if form.get("together") and one.same_data != _before(room):
        one = one.model_copy(update={"together": ""})  # the list names pictures of another folder
    if one.name in _used(room):
        shell.note(
            "Another data set is remembered under that name.",
            "Take another name, or change that one.",
            kind="error",
        )
        return
    remember(get_settings().data_dir, one)
    if room.changing and room.changing != one.name:
        forget(get_settings().data_dir, room.changing)
    room.adding, room.dataset = False, one.name
    room.stopped.discard(one.same_data)
    st.rerun()
