"""The right side of the launch page: what the chosen recipe means for these data and this machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from cxrviewer.datasets.remembering import Remembered
from cxrviewer.labels import VOCABULARIES, canonical
from cxrviewer.training.config import Source, TrainingConfig
from cxrviewer.ui import launching, resources, shell
from cxrviewer.ui.datasets import waiting
from cxrviewer.ui.forms import Form
from cxrviewer.ui.rate_choice import show_finder
from cxrviewer.ui.recipe_examples import show_examples
from cxrviewer.ui.room import RoomState
from cxrviewer.ui.room_jobs import Known
from cxrviewer.ui.runs import duration
from cxrviewer.ui.tables import show_table
from cxrviewer.ui.words import name_label

_WAIT = 1.5
GB = 2**30


@dataclass(frozen=True, eq=False)
class Balance:
    """Of all sources together. train: pictures of each source's train part.

    rows: label -> (3, 2) counts: train, tune, report by positive, negative.
    """

    train: tuple[int, ...]
    rows: dict[str, np.ndarray[Any, np.dtype[np.int64]]]


def can_start(config: TrainingConfig, room: RoomState) -> bool:
    """False where the network cannot be had or a data set was refused. One that is still being read may be fine."""
    jobs = [resources.room_jobs().known(as_remembered(source), room.owner) for source in config.sources]
    return not launching.network_fault(config) and not any(
        job.finished and job.result is None for job in jobs
    )


def as_remembered(source: Source) -> Remembered:
    """A source as the room's jobs know it."""
    values = source.model_dump(exclude={"draws", "name"})
    return Remembered(name="source", reader=source.name, **values)


def sources_known(sources: Sequence[Source], room: RoomState) -> list[Known] | None:
    """The data sets as read; None while one is being read or where one cannot be, which is then said."""
    jobs, found = resources.room_jobs(), []
    for source in sources:
        job = jobs.known(as_remembered(source), room.owner)
        if not job.wait(_WAIT):
            waiting(job, f"Reading the label files of {Path(source.root).name}.", job.cancel)
            return None
        if job.result is None:
            message = job.failure.message if job.failure else "The reading was stopped."
            shell.note(f"The data set in {source.root} cannot be used.", message, kind="error")
            return None
        found.append(job.result)
    return found


def balance_of(config: TrainingConfig, known: Sequence[Known], room: RoomState) -> Balance | None:
    """Counts of the heads' labels in each part; None while they are being counted."""
    labels = [
        label
        for head in config.heads
        for label in (VOCABULARIES.get(head.labels, ()) if isinstance(head.labels, str) else head.labels)
    ]
    rows = {label: np.zeros((3, 2), np.int64) for label in dict.fromkeys((*labels, *config.auxiliary))}
    train = []
    for source, one in zip(config.sources, known, strict=True):
        job = resources.room_jobs().parts(as_remembered(source), one, config.split_seed)
        if not job.wait(_WAIT):
            waiting(job, "Dealing the parts.", job.cancel)
            return None
        if job.result is None:
            shell.note(
                f"{source.name} cannot be split so.", job.failure.message if job.failure else "", kind="error"
            )
            return None
        parts = job.result
        train.append(parts.images[0])
        spelt = {canonical(name): index for index, name in enumerate(parts.labels)}
        for label, counts in rows.items():
            index = parts.labels.index(label) if label in parts.labels else spelt.get(canonical(label))
            if index is not None:
                counts += np.stack([parts.positive[:, index], parts.negative[:, index]], axis=1)
    return Balance(tuple(train), rows)


def show_balance(balance: Balance) -> None:
    """What the network will see of each label, and what weighting makes of it."""
    shell.heading("Class balance", f"{sum(balance.train):,} pictures to learn from")
    titles = ("Label", "train +", "train −", "Share", "w+", "w−", "tune +", "report +")
    table: dict[str, list[Any]] = {name: [] for name in titles}
    for label, counts in balance.rows.items():
        stated = int(counts[0].sum())
        share = counts[0, 0] / stated if stated else float("nan")
        one_sided = not stated or share in (0.0, 1.0)
        values = (
            name_label(label), int(counts[0, 0]), int(counts[0, 1]), "–" if not stated else f"{share:.2f}",
            "–" if one_sided else f"{1 - share:.2f}", "–" if one_sided else f"{share:.2f}",
            int(counts[1, 0]), int(counts[2, 0]),
        )  # fmt: skip
        for name, value in zip(table, values, strict=True):
            table[name].append(value)
    show_table(table, lines=6)
    silent = [name_label(label) for label, counts in balance.rows.items() if not counts[0].all()]
    if silent:
        shell.note(
            f"Not both classes to learn from: {', '.join(silent[:6])}{' and others' if len(silent) > 6 else ''}.",
            "These labels add nothing; choose other answers or add a data set that states them.",
            kind="caution",
        )


def show_estimate(config: TrainingConfig, balance: Balance, room: RoomState) -> None:
    """Steps and cache by arithmetic; time and memory once measured."""
    from cxrviewer.training.estimating import VERDICT, Pace, pictures_of, probe, seconds_of

    shell.heading("Time and memory", "estimates")
    drawn = pictures_of(config, balance.train)
    steps = config.epochs * (drawn // config.batch_size)
    cache = sum(balance.train) * config.stages[-1].size ** 2 / GB
    shell.quiet(
        f"{config.epochs} epochs of {drawn:,} pictures: {steps:,} batches of {config.batch_size}. "
        f"Pictures at {config.stages[-1].size} px: {cache:.2f} GB beside the run."
    )
    if drawn < config.batch_size:
        shell.note(
            "An epoch has less than one batch.", "Choose a smaller batch or add pictures.", kind="caution"
        )
    key = ("pace", _network_key(config))
    jobs = resources.room_jobs()
    job = jobs.get(key)
    if job is None or job.unwanted:
        if st.button("Measure on this machine", help=VERDICT):
            jobs.other(key, lambda _progress, cancelled: probe(config, cancelled), room.owner)
            st.rerun()
    elif not job.finished:
        waiting(job, "Timing a few steps.", lambda: jobs.drop(key, room.owner))
    elif isinstance(job.result, Pace):
        pace: Pace = job.result
        time = duration(seconds_of(config, pace, drawn))
        rate = 1 / (sum(pace.seconds.values()) / len(pace.seconds))
        shell.note(
            f"About {time} on this {pace.device}, {pace.memory / GB:.1f} GB of memory.",
            f"{rate:.0f} pictures a second.",
        )
        shell.quiet(VERDICT)
    else:
        shell.note("It could not be measured.", job.failure.message if job.failure else "", kind="caution")
        if st.button("Measure again"):
            jobs.drop(key, room.owner)
            st.rerun()


def _network_key(config: TrainingConfig) -> str:
    """What decides how long a step takes."""
    sizes = sorted({stage.size for stage in config.stages})
    network = f"{config.backbone} {config.backbone_options} {config.heads} {config.preparation.channels}"
    return f"{network} {config.batch_size} {sizes}"


def labels_of(form: Form, room: RoomState) -> tuple[str, ...]:
    """Labels that the form's data sets state, as far as they have been read."""
    found: dict[str, None] = {}
    for values in form.get("sources") or []:
        job = resources.room_jobs().known(as_remembered(Source.model_validate(values)), room.owner)
        if job.wait(_WAIT) and job.result is not None:
            found |= dict.fromkeys(job.result.dataset.labels)
    return tuple(found)


def show(config: TrainingConfig, room: RoomState) -> None:
    """Balance, examples and estimates, as soon as the label files are read."""
    fault = launching.network_fault(config)
    if fault:
        shell.note(fault, kind="error")
    known = sources_known(config.sources, room)
    balance = balance_of(config, known, room) if known is not None else None
    if balance is None or not known:
        return
    show_balance(balance)
    if not fault:
        show_estimate(config, balance, room)
        shell.heading("Learning rate", "a sweep suggests one")
        show_finder(config, room)
    shell.heading("Example pictures", "each change alone, at its strongest")
    show_examples(known[0], config.augmentation, config.preparation, room, everything=False)
