"""The launch page in parts: where a recipe comes from, what is wrong with it, and the button that starts it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import streamlit as st

from cxrviewer.datasets.remembering import Remembered
from cxrviewer.errors import CxrError
from cxrviewer.settings import get_settings
from cxrviewer.training.config import TrainingConfig
from cxrviewer.ui import shell
from cxrviewer.ui.forms import Form
from cxrviewer.ui.recipe import defaults, read_recipe, suggested_id
from cxrviewer.ui.recipe_form import source_of
from cxrviewer.ui.room import RoomState

RUNS_PAGE = "pages/training/runs.py"


def prepare(room: RoomState, known: Sequence[Remembered]) -> Form:
    """The form, at first with sensible values and the data set that was last looked at."""
    if not room.recipe.values:
        values = defaults()
        one = next((one for one in known if one.name == room.dataset), known[0] if known else None)
        room.recipe.replace(values | {"id": "", "sources": [source_of(one)] if one else []})
    return room.recipe


def take_over(room: RoomState, values: dict[str, Any]) -> None:
    """Another recipe into the form; data sets that it does not name stay."""
    kept = room.recipe.get("sources") or []
    base = json.loads(TrainingConfig.model_construct(id="", sources=()).model_dump_json())
    room.recipe.replace(base | values | {"id": "", "sources": values.get("sources") or kept})


def wanted(form: Form) -> tuple[TrainingConfig | None, tuple[str, ...]]:
    """The recipe as it would be started, or what is wrong with it."""
    values = form.values
    return read_recipe(values | {"id": str(values.get("id") or "").strip() or suggested_id(values)})


def faults(sentences: Sequence[str]) -> None:
    """A sentence a wrong value, the same as the command line gives."""
    for sentence in sentences:
        shell.note(sentence, kind="error")


def network_fault(config: TrainingConfig) -> str:
    """Why the network cannot be had as chosen; empty where it can. Reads tables, builds nothing."""
    from cxrviewer.training.material import architecture_of

    try:
        architecture_of(config)
    except CxrError as error:
        return str(error)
    return ""


def start(config: TrainingConfig | None, room: RoomState, *, can: bool = True) -> None:
    """Start, and the same recipe as a file. can: False where what is said below would end the run at once."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if (
            st.button("Start the run", type="primary", disabled=config is None or not can)
            and config is not None
        ):
            from cxrviewer.training.runs import submit

            status = submit(config, get_settings().runs_dir)
            room.run = status.id
            room.recipe.put("id", "")
            room.recipe.revision += 1
            st.switch_page(RUNS_PAGE)
        if config is not None:
            st.download_button(
                "Download the recipe", config.model_dump_json(indent=2), f"{config.id}.json", "application/json",
                type="tertiary", help="For python -m cxrviewer train --config FILE.",
            )  # fmt: skip


def from_file(room: RoomState) -> None:
    """A recipe from a JSON file."""
    with st.popover("Open a recipe", type="tertiary", key=f"open-recipe-{room.recipe.revision}"):
        given = st.file_uploader("A recipe, JSON", type="json", key=f"recipe-file-{room.recipe.revision}")
        if given is not None:
            try:
                values = json.loads(given.getvalue())
                config, sentences = read_recipe(values)
            except (ValueError, TypeError):
                config, sentences = None, ("The file is no JSON.",)
            if config is None:
                faults(sentences)
            else:
                take_over(room, json.loads(config.model_dump_json()))
                room.recipe.put("id", config.id)
                st.rerun()
