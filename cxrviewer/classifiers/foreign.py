"""Checkpoints of other programs as tensors by name. No code of the file runs, and no class of it is needed.

TorchXRayVision's DenseNets are published as whole pickled networks, from before torch wrote ZIP files. torch reads such
a file with `weights_only=True` where two things are done first. Every class of a network that it names becomes an empty
holder. And where it tells the source code of its classes, which torch refuses, that is taken out of the pickle: a copy
of its operations without those few, nothing of it carried out.
"""

from __future__ import annotations

import pickletools
import warnings
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from cxrviewer.errors import ModelBundleError

Tensors = dict[str, torch.Tensor]

HELD = ("torch.nn.modules.", "torch.nn.backends.", "torchvision.models.", "torchxrayvision.", "models.")
"""How the names of classes begin that are held and not built. Whatever else torch does not know is refused."""
_BEFORE = 3
"""Pickles before the network's own in a file of the older sort: magic number, version, machine."""
_STRINGS = ("BINUNICODE", "SHORT_BINUNICODE", "NONE", "BINGET", "LONG_BINGET")
_PUTS = ("BINPUT", "LONG_BINPUT")

Operation = tuple[str, Any, bytes]
"""Name, argument and bytes of one step of a pickle."""


class Holder:
    """Stands in for any class of a pickled network: keeps what it is given, and does nothing."""

    def __init__(self, *_arguments: object) -> None:
        pass


def read_foreign(path: Path, name: str) -> Tensors:
    """The tensors of a state dict, or of a whole pickled network, under the names that `state_dict` gives.

    `name`: for the message. Raises ModelBundleError.
    """
    try:
        data, classes = _prepared(path)
        held: list[Any] = [(Holder, known) for known in sorted(classes) if known.startswith(HELD)]
        with torch.serialization.safe_globals(held), warnings.catch_warnings():
            warnings.simplefilter("ignore", torch.serialization.SourceChangeWarning)
            found: Any = torch.load(data, map_location="cpu", weights_only=True)
    except (
        *(UnpicklingError, zipfile.BadZipFile, OSError, RuntimeError, ValueError),
        *(EOFError, KeyError, IndexError, TypeError, AttributeError, UnicodeError),
    ) as exc:
        raise ModelBundleError(
            f"The weights {name} are damaged, or hold more than a network.",
            "Fetch them again, or do not use them.",
        ) from exc
    tensors = _state(found) if isinstance(found, Holder) else found
    if not isinstance(tensors, dict) or not all(isinstance(t, torch.Tensor) for t in tensors.values()):
        raise ModelBundleError(f"The weights {name} hold something else than tensors.", "Do not use them.")
    return {str(key): tensor.detach() for key, tensor in tensors.items()}


def _state(holder: Holder, before: str = "") -> Tensors:
    kept = vars(holder)
    found: Tensors = {}
    for kind in ("_parameters", "_buffers"):
        own = kept.get(kind) or {}
        found |= {before + name: tensor for name, tensor in own.items() if isinstance(tensor, torch.Tensor)}
    for name, child in (kept.get("_modules") or {}).items():
        if isinstance(child, Holder):
            found |= _state(child, f"{before}{name}.")
    return found


def _prepared(path: Path) -> tuple[Path | BytesIO, set[str]]:
    """What torch is to read, and the names of classes and functions in it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            (member,) = (one for one in archive.namelist() if one.endswith("/data.pkl"))
            return path, _named(_operations(BytesIO(archive.read(member))))
    whole = BytesIO(path.read_bytes())
    for _ in range(_BEFORE):
        _operations(whole)
    start = whole.tell()
    steps = _operations(whole)
    rest = whole.read()
    rewritten = b"".join(step[2] for step in _without_sources(steps))
    return BytesIO(whole.getvalue()[:start] + rewritten + rest), _named(steps)


def _operations(stream: BytesIO) -> list[Operation]:
    """The steps of the next pickle; none is carried out."""
    start, found = stream.tell(), []
    listed = list(pickletools.genops(stream))
    end = stream.tell()
    for (code, argument, place), following in zip(listed, [*listed[1:], None], strict=True):
        stop = end if following is None else following[2]
        assert place is not None and stop is not None
        found.append((code.name, argument, stream.getvalue()[place:stop]))
    assert stream.tell() == end >= start
    return found


def _named(steps: list[Operation]) -> set[str]:
    return {str(argument).replace(" ", ".") for name, argument, _ in steps if name == "GLOBAL"}


def _without_sources(steps: list[Operation]) -> Iterator[Operation]:
    """A class told as (`module`, class, file, source) by a persistent id -> the class alone."""
    place = 0
    while place < len(steps):
        told = _told_class(steps, place)
        if told is None:
            yield steps[place]
            place += 1
        else:
            kept, place = told
            yield from kept


def _told_class(steps: list[Operation], place: int) -> tuple[list[Operation], int] | None:
    """The steps that give the class, and where the rest goes on; None where no such tuple begins here."""
    if steps[place][0] != "MARK":
        return None
    end = next((k for k in range(place, min(place + 12, len(steps))) if steps[k][0] == "BINPERSID"), None)
    if end is None:
        return None
    inside = [step for step in steps[place + 1 : end] if step[0] not in _PUTS]
    kinds = [step[0] for step in inside]
    if len(kinds) != 5 or kinds[4] != "TUPLE" or kinds[1] not in ("GLOBAL", "BINGET", "LONG_BINGET"):
        return None
    if any(kind not in _STRINGS for kind in (kinds[0], kinds[2], kinds[3])):
        return None
    at = steps.index(inside[1], place)
    return steps[at : at + 1 + (steps[at + 1][0] in _PUTS)], end + 1
