"""A form from a pydantic model: every field becomes the widget that its type asks for.

Values are kept apart from the widgets, so that they survive a change of page, and they are what the model is made of:
JSON. Whether they make sense is the model's own business, and its sentences are shown.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, Union, get_args, get_origin

import streamlit as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from streamlit.delta_generator import DeltaGenerator

NONE = "guess it"


class Form:
    """Nested values under dotted paths (`stages.0.size`), and the keys of the widgets that edit them."""

    def __init__(self, name: str, values: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.values: dict[str, Any] = dict(values or {})
        self.revision = 0

    def replace(self, values: Mapping[str, Any]) -> None:
        """Other values: every widget starts anew from them."""
        self.values = json.loads(json.dumps(values))
        self.revision += 1

    def get(self, path: str, default: Any = None) -> Any:
        """The value at a path."""
        place: Any = self.values
        for step in _steps(path):
            try:
                place = place[step]
            except (KeyError, IndexError, TypeError):
                return default
        return place

    def put(self, path: str, value: Any) -> None:
        """Set the value at a path; mappings on the way are made where they lack."""
        *way, last = _steps(path)
        place: Any = self.values
        for step in way:
            place = place[step] if isinstance(step, int) else place.setdefault(step, {})
        place[last] = value

    def key(self, path: str) -> str:
        """Of the widget for a path."""
        return f"{self.name}.{self.revision}.{path}"

    def bind(self, path: str, value: Any) -> str:
        """The widget's key, seeded before the widget is drawn (see `state.bind`)."""
        key = self.key(path)
        if key not in st.session_state:
            st.session_state[key] = value
        return key

    def keep(self, path: str, read: Callable[[Any], Any] = lambda value: value) -> None:
        """Callback: take the widget's value over. A click that interrupts a redraw may find it gone."""
        if self.key(path) in st.session_state:
            self.put(path, read(st.session_state[self.key(path)]))


def _steps(path: str) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in path.split(".")]


def ask(
    form: Form,
    path: str,
    info: FieldInfo,
    label: str,
    more: str = "",
    *,
    choices: Sequence[Any] | None = None,
    say: Callable[[Any], str] = str,
    into: DeltaGenerator | None = None,
) -> None:
    """Draw one field. label, more: our own words, which may be read as Markdown. choices: instead of the type's own.

    say: how a choice reads; plain text.
    """
    place = st if into is None else into
    kind, optional = _plain(info.annotation)
    value = form.get(path, info.get_default(call_default_factory=True))
    options = list(choices) if choices is not None else _literal(kind)
    common: dict[str, Any] = {"help": more or None}
    if options is not None and get_origin(kind) is not tuple:
        if value not in options:
            options = [*options, value]
        place.selectbox(
            label, options, key=form.bind(path, value), format_func=say, on_change=partial(form.keep, path), **common
        )  # fmt: skip
    elif kind is bool:
        place.toggle(label, key=form.bind(path, bool(value)), on_change=partial(form.keep, path), **common)
    elif kind in (int, float):
        _number(form, path, info, kind, value, label, common, place, optional)
    elif get_origin(kind) is tuple and options is not None:
        chosen = list(value or ())
        place.multiselect(
            label, [*options, *(one for one in chosen if one not in options)], key=form.bind(path, chosen),
            format_func=say, on_change=partial(form.keep, path), placeholder="all that fit", **common,
        )  # fmt: skip
    elif get_origin(kind) is tuple:
        text = ", ".join(map(str, value or ()))
        place.text_input(
            label, key=form.bind(path, text), on_change=partial(form.keep, path, _names), **common
        )  # fmt: skip
    elif get_origin(kind) is dict or kind is dict:
        place.text_input(
            label, key=form.bind(path, json.dumps(value) if value else ""), placeholder="{} as JSON",
            on_change=partial(form.keep, path, _mapping), **common,
        )  # fmt: skip
    else:
        place.text_input(
            label, key=form.bind(path, str(value or "")), on_change=partial(form.keep, path), **common
        )


def ask_all(
    form: Form, prefix: str, model: type[BaseModel], words: Mapping[str, tuple[str, str]], *, columns: int = 1,
    choices: Mapping[str, Sequence[Any]] | None = None, say: Callable[[str, Any], str] | None = None,
) -> None:  # fmt: skip
    """Every field of a model, in its order, in so many columns. words: field -> label and help.

    say: how a choice of a field reads.
    """
    names = list(model.model_fields)
    for start in range(0, len(names), columns):
        places = st.columns(columns) if columns > 1 else [None]
        for name, place in zip(names[start : start + columns], places, strict=False):
            label, more = words.get(name, (name.replace("_", " ").capitalize(), ""))
            path = f"{prefix}.{name}" if prefix else name
            ask(
                form, path, model.model_fields[name], label, more,
                choices=(choices or {}).get(name), say=partial(say, name) if say else _said, into=place,
            )  # fmt: skip


def _said(value: Any) -> str:
    return str(value) if value != "" else NONE


def _plain(annotation: Any) -> tuple[Any, bool]:
    """A type without its `| None`, and whether it had one."""
    if get_origin(annotation) in (Union, types.UnionType):
        parts = [part for part in get_args(annotation) if part is not type(None)]
        return parts[0], len(parts) < len(get_args(annotation))
    return annotation, False


def _literal(kind: Any) -> list[Any] | None:
    return list(get_args(kind)) if get_origin(kind) is Literal else None


def _number(
    form: Form, path: str, info: FieldInfo, kind: type, value: Any, label: str, common: dict[str, Any], place: Any,
    optional: bool,
) -> None:  # fmt: skip
    """A number within the field's own limits; a float is shown as briefly as it can be."""
    limits = {"min_value": _limit(info, "ge", "gt"), "max_value": _limit(info, "le", "lt")}
    bounds = {name: kind(limit) for name, limit in limits.items() if limit is not None}
    start = None if value is None else kind(value)
    place.number_input(
        label,
        key=form.bind(path, start),
        step=1 if kind is int else _step(start),
        format="%d" if kind is int else "%g",
        placeholder="as the others" if optional else None,
        on_change=partial(form.keep, path),
        **({"value": None} if optional else {}),
        **bounds,
        **common,
    )


def _limit(info: FieldInfo, *names: str) -> float | None:
    """A bound of the field's; one that the value may not reach is left to the model."""
    found = (getattr(bound, name, None) for bound in info.metadata for name in names)
    return next((float(limit) for limit in found if limit is not None), None)


def _step(value: float | None) -> float:
    """A tenth of the value's own size, so that a click is felt at 1e-4 as at 10."""
    if not value:
        return 0.01
    return (
        float(10 ** (len(str(int(abs(value)))) - 2))
        if abs(value) >= 1
        else float(f"1e{f'{abs(value):e}'.split('e')[1]}")
    )


def _names(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(",")) if name]


def _mapping(text: str) -> Any:
    """JSON where it is some; else the text, which the model will refuse."""
    try:
        return json.loads(text) if text.strip() else {}
    except ValueError:
        return text
