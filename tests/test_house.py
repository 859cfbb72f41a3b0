"""Which way the rooms of the house may know each other, read from their source without importing it.

The same rules are in words in CONTRIBUTING.md. A room that does not exist yet is ruled all the same.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

GROUND = {"labels", "errors", "settings", "logs", "privacy", "process", "files"}
"""Files that every room may know; they know only each other."""

KNOWS: dict[str, set[str]] = {
    "studies": set(),
    "classifiers": {"studies"},
    "explainers": {"studies", "classifiers"},
    "trust": {"studies", "classifiers", "explainers"},
    # The store knows the values that it keeps (Prediction, Explanation), see VALUES_ONLY.
    "archive": {"studies", "classifiers", "explainers", "trust"},
    "reading": {"studies", "classifiers", "explainers", "trust", "archive"},
    "evaluation": set(),
    "datasets": {"studies"},
    "training": {"studies", "classifiers", "datasets", "evaluation"},
    "reporting": {"studies", "classifiers", "explainers", "trust", "archive", "reading", "evaluation"},
}
EVERYTHING_BELOW = set(KNOWS)
KNOWS["cli"] = EVERYTHING_BELOW
KNOWS["__main__"] = EVERYTHING_BELOW | {"cli"}
KNOWS["ui"] = EVERYTHING_BELOW
KNOWS["pages"] = KNOWS["viewer_app"] = EVERYTHING_BELOW | {"ui"}
"""room -> rooms it may know besides the ground and itself. Arrows that are missing here point back."""

VALUES_ONLY = {"archive": {"serving", "registry", "classifier", "engines", "bundle", "grad_cam", "lime"}}
"""room -> modules it may not reach for although it knows their rooms: it stores answers, it computes none."""

SCREENS = {"ui", "pages", "viewer_app"}
CACHES = "cxrviewer/ui/resources.py"
PICKLES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
PICKLE_ERRORS = {"pickle.UnpicklingError", "pickle.PickleError"}
"""Catching what a refused checkpoint raises unpickles nothing."""

NUMBERS = {"numpy", "scipy", "sklearn"}
"""All that evaluation needs from outside."""

BY_NAME = {"import_module", "__import__"}
"""Calls that import what their first argument names."""

WITH_WEIGHTS_ONLY = {"torch.load", "load_from_checkpoint"}
"""Calls that unpickle unless told otherwise."""


def room_of(path: str) -> str:
    """`cxrviewer/studies/dicom.py` -> studies, `cxrviewer/errors.py` -> errors, `pages/a/b.py` -> pages."""
    parts = path.removesuffix(".py").split("/")
    return parts[1] if parts[0] == "cxrviewer" and len(parts) > 1 else parts[0]


def room_of_module(module: str) -> str | None:
    """`cxrviewer.studies.dicom` -> studies; None for what is not ours or is the bare package."""
    parts = module.split(".")
    if parts[0] in {"pages", "viewer_app"}:
        return parts[0]
    return parts[1] if parts[0] == "cxrviewer" and len(parts) > 1 else None


def imports(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of everything imported, at any depth, relative and by importlib included."""
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((node.lineno, f"{stem}.{name.name}") for name in node.names)
        elif isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in BY_NAME:
            yield from (
                (node.lineno, str(word.value)) for word in node.args[:1] if isinstance(word, ast.Constant)
            )


def dotted(node: ast.AST) -> str:
    """`st.cache_data` as written; empty where it is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}".lstrip(".")
    return ""


def direction_faults(path: str, tree: ast.AST) -> Iterator[str]:
    room = room_of(path)
    if room == "__init__":
        room = "privacy"  # The package's own __init__ is ground.
    allowed = GROUND | ({room} | KNOWS.get(room, set()) if room not in GROUND else set())
    for line, name in imports(path, tree):
        other = room_of_module(name)
        if other is None or other == "__version__":
            continue
        if other not in allowed:
            yield f"{path}:{line}: {room} may not know {other} ({name})"
        elif set(name.split(".")[2:]) & VALUES_ONLY.get(room, set()) and other != room:
            yield f"{path}:{line}: {room} keeps values and may not reach for {name}"


def streamlit_faults(path: str, tree: ast.AST) -> Iterator[str]:
    room = room_of(path)
    for line, name in imports(path, tree):
        if name.split(".")[0] == "streamlit" and room not in SCREENS:
            yield f"{path}:{line}: only the screens know Streamlit"
        if room in SCREENS and path != CACHES and name.split(".")[-1] in {"lru_cache", "cache"}:
            yield f"{path}:{line}: only {CACHES} caches"
        if path != CACHES and name.startswith("streamlit.") and name.split(".")[-1].startswith("cache_"):
            yield f"{path}:{line}: only {CACHES} caches"
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr in {"cache_data", "cache_resource"}
            and path != CACHES
        ):
            yield f"{path}:{node.lineno}: only {CACHES} caches"
        if room in SCREENS and path != CACHES and dotted(node) in {"functools.lru_cache", "functools.cache"}:
            yield f"{path}:{node.lineno}: only {CACHES} caches"


def evaluation_faults(path: str, tree: ast.AST) -> Iterator[str]:
    if room_of(path) != "evaluation":
        return
    for line, name in imports(path, tree):
        root = name.split(".")[0]
        if root not in NUMBERS | {"cxrviewer"} | sys.stdlib_module_names:
            yield f"{path}:{line}: evaluation knows arrays and labels only, not {root}"


def pickle_faults(path: str, tree: ast.AST) -> Iterator[str]:
    reached = {dotted(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    used = {name for name in reached if name.startswith("pickle.")}
    for line, name in imports(path, tree):
        if name in PICKLE_ERRORS or (name == "pickle" and used and used <= PICKLE_ERRORS):
            continue
        if name.split(".")[0] in PICKLES or name == "torch.load":
            yield f"{path}:{line}: {name} can run code from a file"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        stated = {word.arg: getattr(word.value, "value", None) for word in node.keywords}
        if (name == "torch.load" or name.split(".")[-1] in WITH_WEIGHTS_ONLY) and stated.get(
            "weights_only"
        ) is not True:
            yield f"{path}:{node.lineno}: {name} without weights_only=True"
        if "ckpt_path" in stated and stated.get("weights_only") is not True:
            yield f"{path}:{node.lineno}: ckpt_path without weights_only=True"
        if stated.get("allow_pickle") not in (None, False) or name.split(".")[-1] == "read_pickle":
            yield f"{path}:{node.lineno}: {name} unpickles"


RULES = {
    "direction": direction_faults,
    "streamlit": streamlit_faults,
    "evaluation": evaluation_faults,
    "pickle": pickle_faults,
}


def sources() -> list[str]:
    files = [*ROOT.glob("cxrviewer/**/*.py"), *ROOT.glob("pages/**/*.py"), *ROOT.glob("viewer_app.py")]
    return sorted(file.relative_to(ROOT).as_posix() for file in files)


@pytest.mark.parametrize("rule", RULES)
def test_the_house_keeps_its_rules(rule: str) -> None:
    found = sources()
    assert "cxrviewer/errors.py" in found
    faults = [
        fault
        for path in found
        for fault in RULES[rule](path, ast.parse((ROOT / path).read_text("utf-8"), path))
    ]
    assert not faults, "\n".join(faults)


def test_every_room_is_on_the_plan() -> None:
    rooms = {room_of(path) for path in sources()} - {"__init__"}
    assert rooms <= GROUND | set(KNOWS), f"new rooms need a line in KNOWS: {rooms - GROUND - set(KNOWS)}"


def test_arrows_never_form_a_ring() -> None:
    left = dict(KNOWS)
    while left:
        free = {room for room, known in left.items() if not known & set(left)}
        assert free, f"these know each other in a ring: {sorted(left)}"
        left = {room: known for room, known in left.items() if room not in free}


def test_page_files_sit_one_folder_below_pages() -> None:
    """Files directly in pages/ clash with st.navigation: a deep link opens without the app's frame."""
    assert not [file.name for file in ROOT.glob("pages/*.py")]


@pytest.mark.parametrize(
    ("rule", "path", "source"),
    [
        ("direction", "cxrviewer/studies/dicom.py", "from cxrviewer.classifiers import predict"),
        ("direction", "cxrviewer/studies/dicom.py", "from ..classifiers.prediction import Prediction"),
        ("direction", "cxrviewer/studies/dicom.py", "from cxrviewer import classifiers"),
        ("direction", "cxrviewer/studies/dicom.py", "def f():\n    import cxrviewer.reading"),
        (
            "direction",
            "cxrviewer/studies/x.py",
            "import importlib\nimportlib.import_module('cxrviewer.training')",
        ),
        ("direction", "cxrviewer/errors.py", "from cxrviewer.studies import radiograph"),
        ("direction", "cxrviewer/__init__.py", "from cxrviewer.studies import radiograph"),
        ("direction", "cxrviewer/classifiers/bundle.py", "from cxrviewer.training import config"),
        ("direction", "cxrviewer/explainers/lime.py", "from cxrviewer.datasets import DATASETS"),
        ("direction", "cxrviewer/explainers/__init__.py", "from ..trust import sanity"),
        ("direction", "cxrviewer/training/fit.py", "from cxrviewer.explainers import EXPLAINERS"),
        ("direction", "cxrviewer/training/fit.py", "from cxrviewer.reporting import figures"),
        ("direction", "cxrviewer/datasets/nih.py", "from cxrviewer.classifiers import preparing"),
        ("direction", "cxrviewer/evaluation/roc.py", "from cxrviewer.datasets import dataset"),
        ("direction", "cxrviewer/archive/store.py", "from cxrviewer.classifiers.serving import serve"),
        ("direction", "cxrviewer/archive/store.py", "from cxrviewer.classifiers import serving"),
        ("direction", "cxrviewer/reading/read.py", "from cxrviewer.reporting import pdf"),
        ("direction", "cxrviewer/cli.py", "import cxrviewer.ui.state"),
        ("direction", "cxrviewer/ui/shell.py", "import pages.reading.viewer"),
        ("streamlit", "cxrviewer/reading/read.py", "import streamlit as st"),
        ("streamlit", "cxrviewer/cli.py", "def f():\n    from streamlit.web import cli"),
        ("streamlit", "cxrviewer/ui/shell.py", "import streamlit as st\n@st.cache_data\ndef f(): ..."),
        ("streamlit", "pages/reading/viewer.py", "from streamlit import cache_resource"),
        ("streamlit", "pages/reading/viewer.py", "from functools import lru_cache"),
        ("streamlit", "viewer_app.py", "import functools\n@functools.cache\ndef f(): ..."),
        ("evaluation", "cxrviewer/evaluation/roc.py", "import torch"),
        ("evaluation", "cxrviewer/evaluation/roc.py", "from PIL import Image"),
        ("pickle", "cxrviewer/training/fit.py", "import pickle"),
        (
            "pickle",
            "cxrviewer/training/fit.py",
            "import pickle\ntry: pickle.load(f)\nexcept pickle.PickleError: ...",
        ),
        ("pickle", "cxrviewer/training/fit.py", "import pickle as p\np.load(f)"),
        ("pickle", "cxrviewer/training/fit.py", "from pickle import loads"),
        ("pickle", "cxrviewer/classifiers/bundle.py", "from joblib import load"),
        ("pickle", "cxrviewer/training/fit.py", "import torch\ntorch.load('x')"),
        ("pickle", "cxrviewer/training/fit.py", "import torch\ntorch.load('x', weights_only=False)"),
        ("pickle", "cxrviewer/training/fit.py", "import torch\ntorch.load('x', weights_only=flag)"),
        ("pickle", "cxrviewer/training/fit.py", "from torch import load"),
        ("pickle", "cxrviewer/training/fit.py", "Module.load_from_checkpoint('x')"),
        ("pickle", "cxrviewer/training/fit.py", "trainer.fit(module, ckpt_path='last')"),
        ("pickle", "cxrviewer/datasets/nih.py", "np.load('x', allow_pickle=True)"),
        ("pickle", "cxrviewer/datasets/nih.py", "pd.read_pickle('x')"),
    ],
)
def test_a_breach_is_seen(rule: str, path: str, source: str) -> None:
    assert list(RULES[rule](path, ast.parse(source)))


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("cxrviewer/__init__.py", "from cxrviewer.privacy import refuse_telemetry"),
        ("cxrviewer/settings.py", "from cxrviewer.errors import ConfigurationError"),
        (
            "cxrviewer/studies/dicom.py",
            "from .radiograph import Radiograph\nfrom cxrviewer import __version__",
        ),
        ("cxrviewer/training/fit.py", "import torch\ntorch.load('x', weights_only=True)"),
        ("cxrviewer/training/fit.py", "import pickle\ntry: ...\nexcept pickle.UnpicklingError: ..."),
        ("cxrviewer/training/fit.py", "from pickle import UnpicklingError"),
        ("cxrviewer/training/fit.py", "trainer.fit(m, ckpt_path='last', weights_only=True)"),
        ("cxrviewer/archive/store.py", "from cxrviewer.classifiers.prediction import Prediction"),
        (
            "cxrviewer/evaluation/roc.py",
            "import json\nimport numpy as np\nfrom cxrviewer.labels import NIH14",
        ),
        ("cxrviewer/ui/resources.py", "import streamlit as st\n@st.cache_resource\ndef f(): ..."),
        ("pages/reading/viewer.py", "import streamlit as st\nfrom cxrviewer.ui import shell"),
        ("cxrviewer/__main__.py", "from cxrviewer.cli import app"),
    ],
)
def test_what_is_allowed_passes(path: str, source: str) -> None:
    assert not [fault for rule in RULES.values() for fault in rule(path, ast.parse(source))]
