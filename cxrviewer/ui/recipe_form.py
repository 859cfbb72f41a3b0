"""The left side of the launch page: data sets, heads and the recipe in four short groups."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from cxrviewer.classifiers.backbones import BACKBONES
from cxrviewer.datasets.remembering import Remembered
from cxrviewer.labels import Head, plain
from cxrviewer.training.config import HeadChoice, Source, Stage
from cxrviewer.ui import shell
from cxrviewer.ui.dataset_words import SPLITS
from cxrviewer.ui.forms import Form, ask, ask_all
from cxrviewer.ui.recipe import GROUPS, HEADS, OWN, STAGE, Ask, Group, heads_word, info_of, suggested_id, word
from cxrviewer.ui.words import name_label


def show_recipe(form: Form, known: Sequence[Remembered], labels: Sequence[str]) -> None:
    """The groups, two beside each other. labels: what the data sets state, to choose a head's from."""
    parts = {"Data": partial(_data, form, known, labels), "Learning": partial(_stages, form)}
    for pair in (GROUPS[:2], GROUPS[2:]):
        for place, group in zip(st.columns(2, gap="small"), pair, strict=True):
            with place, st.container(border=True, height="stretch"):
                shell.heading(group.title)
                if group.title in parts:
                    parts[group.title]()
                _group(form, group)


def ask_name(form: Form) -> None:
    """What the run will be called."""
    st.text_input(
        "Name of the run", key=form.bind("id", form.get("id", "")), on_change=partial(form.keep, "id"),
        placeholder=f"Name of the run: {suggested_id(form.values)}", label_visibility="collapsed", width=330,
    )  # fmt: skip


def _group(form: Form, group: Group) -> None:
    if group.title == "Network":
        _asks(form, group.main[:1])
        if form.get("backbone") in BACKBONES:
            _network_line(form)
    _asks(form, group.main[1:] if group.title == "Network" else group.main)
    with st.expander("More"):
        if group.title == "Data":
            _draws(form)
        _asks(form, group.advanced)
        if group.title == "Network":
            _heads_more(form)


def _asks(form: Form, every: Sequence[Ask]) -> None:
    """A line each, or two where both are short."""
    waiting: Ask | None = None
    for one in every:
        if not one.half:
            _ask(form, one)
        elif waiting is None:
            waiting = one
        else:
            for place, half in zip(st.columns(2), (waiting, one), strict=True):
                with place:
                    _ask(form, half)
            waiting = None


def _ask(form: Form, one: Ask, path: str = "") -> None:
    path = path or one.path
    info = info_of(one.path)
    if one.path == "backbone":
        ask(form, path, info, one.label, one.more, choices=list(BACKBONES), say=_titled)
    elif (
        one.path == "backbone_options"
        and (entry := BACKBONES.get(form.get("backbone")))
        and entry.kind.model_fields
    ):
        ask_all(form, path, entry.kind, {})
    elif one.path != "backbone_options":
        ask(form, path, info, one.label, one.more, say=partial(word, one.path))


def _titled(name: str) -> str:
    return BACKBONES[name].title if name in BACKBONES else name


def _network_line(form: Form) -> None:
    """What the chosen network was made for, and what to do where nobody publishes its weights."""
    entry = BACKBONES[form.get("backbone")]
    shell.quiet(f"Made for {entry.size} px{' and no other size' if entry.one_size else ''}.")
    if form.get("pretrained") and entry.weights is None:
        shell.note(f"{entry.title} has no published weights.", entry.substitute, kind="caution")


def _data(form: Form, known: Sequence[Remembered], labels: Sequence[str]) -> None:
    """Which data sets, how they are split, and what is to be answered."""
    offered = {one.name: source_of(one) for one in known}
    present = list(form.get("sources") or [])
    chosen = [_name_of(source, offered) for source in present]
    offered |= dict(zip(chosen, present, strict=True))
    key = form.bind("sources", chosen)
    names = st.multiselect(
        "Data sets", list(offered), key=key, placeholder="choose one",
        on_change=lambda: form.put("sources", [offered[name] for name in st.session_state.get(key, [])]),
    )  # fmt: skip
    for name in names:
        source = offered[name]
        shell.quiet(f"{name}: {_split_words(Source.model_validate(source))}")
    _heads(form, labels)


def _split_words(source: Source) -> str:
    if source.folds:
        return f"{source.folds} folds, reporting on {source.fold}"
    shares = f"{SPLITS[source.split]}, {source.tune:g} to tune, {source.report:g} to report"
    return f"{shares}, near-duplicates kept together" if source.together else shares


def source_of(one: Remembered) -> dict[str, Any]:
    """A remembered data set as a recipe's source."""
    values = one.model_dump(mode="json")
    return {"name": values.pop("reader"), **{k: v for k, v in values.items() if k != "name"}, "draws": 0}


def _name_of(source: dict[str, Any], offered: dict[str, dict[str, Any]]) -> str:
    """What a source of the recipe is called: its remembered name, or its reader and folder.

    One that is split in another way than it is remembered keeps its name, as long as no other has the same folder.
    """
    plain_source = Source.model_validate(source).model_copy(update={"draws": 0})
    known = {name: Source.model_validate(one) for name, one in offered.items()}
    same = [name for name, one in known.items() if one == plain_source]
    alike = [name for name, one in known.items() if _data_of(one) == _data_of(plain_source)]
    return (same or (alike if len(alike) == 1 else ()) or (f"{source['name']}: {source['root']}",))[0]


def _data_of(source: Source) -> tuple[str, str, str]:
    return source.name, source.root, repr(sorted(source.options.items()))


def _heads(form: Form, labels: Sequence[str]) -> None:
    present = heads_word(form.get("heads") or [])
    chosen = st.selectbox(
        "Answers", [*HEADS, OWN], key=form.bind("heads.choice", present), on_change=partial(_take_heads, form)
    )
    if chosen == OWN:
        heads = form.get("heads") or []
        stated: Any = next((head["labels"] for head in heads if head["name"] == Head.FINDINGS), [])
        own: list[str] = [] if isinstance(stated, str) else list(stated)
        key = form.bind("heads.labels", own)
        st.multiselect(
            "Labels", [*labels, *(name for name in own if name not in labels)], key=key, format_func=name_label,
            placeholder="those of the data sets", on_change=partial(_take_labels, form, key),
        )  # fmt: skip


def _take_heads(form: Form) -> None:
    choice = st.session_state.get(form.key("heads.choice"))
    if choice in HEADS:
        form.put("heads", [dict(head) for head in HEADS[choice]])
    elif choice == OWN:
        form.put("heads", [{"name": Head.FINDINGS.value, "labels": []}])


def _take_labels(form: Form, key: str) -> None:
    form.put("heads", [{"name": Head.FINDINGS.value, "labels": list(st.session_state.get(key, []))}])


def _heads_more(form: Form) -> None:
    """What lies between the features and each head's answers."""
    for number, head in enumerate(form.get("heads") or []):
        shell.quiet(f"Head: {plain(head['name'])}")
        for name, label in (("stack", "Layers"), ("output", "Output")):
            ask(
                form, f"heads.{number}.{name}", HeadChoice.model_fields[name], label, say=partial(word, f"heads.{name}")
            )  # fmt: skip


def _draws(form: Form) -> None:
    sources = form.get("sources") or []
    for number, source in enumerate(sources):
        ask(
            form, f"sources.{number}.draws", Source.model_fields["draws"], f"Pictures an epoch of {source['name']}",
            "0: all of them once.",
        )  # fmt: skip


def _stages(form: Form) -> None:
    """Some epochs at one size, a line each."""
    stages = form.get("stages") or []
    for number, stage in enumerate(stages):
        if len(stages) > 1:
            shell.quiet(f"Stage {number + 1}")
        for place, one in zip(st.columns([1, 1, 1.4]), STAGE[:3], strict=True):
            with place:
                _stage_field(form, number, one)
        if stage.get("trains", "all") != "all" or len(stages) > 1:
            for place, one in zip(st.columns(2), STAGE[3:], strict=True):
                with place:
                    _stage_field(form, number, one)
    with st.container(horizontal=True):
        if st.button(
            "Add a stage", type="tertiary", help="Two phases are two stages: the heads first, then all."
        ):
            _with_stages(form, [*stages, dict(stages[-1] if stages else {"size": 128, "epochs": 1})])
        if len(stages) > 1 and st.button("Remove the last", type="tertiary"):
            _with_stages(form, stages[:-1])


def _stage_field(form: Form, number: int, one: Ask) -> None:
    ask(
        form,
        f"stages.{number}.{one.path}",
        Stage.model_fields[one.path],
        one.label,
        say=partial(word, one.path),
    )


def _with_stages(form: Form, stages: list[dict[str, Any]]) -> None:
    form.put("stages", stages)
    form.revision += 1
    st.rerun()
