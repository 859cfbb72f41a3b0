"""The frame: requirements bounded and free of the GPL, safe server defaults, nothing tied to one machine."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENT_FILES = ("requirements.txt", "requirements-dev.txt")

TRANSITIVE_IMPORTS = {
    "pandas": "streamlit",
    "pyarrow": "streamlit",
    "matplotlib": "captum",
    "torchmetrics": "lightning",
    "tqdm": "lightning",
}
"""Imported here, brought by a requirement that cannot do without it."""


def requirements(file: str) -> list[Requirement]:
    lines = [line.split("#")[0].strip() for line in (ROOT / file).read_text("utf-8").splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


# --- requirements ------------------------------------------------------------


@pytest.mark.parametrize("file", REQUIREMENT_FILES)
def test_every_requirement_has_a_lower_and_an_upper_bound(file: str) -> None:
    found = requirements(file)
    assert found
    for requirement in found:
        operators = {part.operator for part in requirement.specifier}
        assert "==" in operators or (">=" in operators and "<" in operators), requirement


@pytest.mark.parametrize("file", REQUIREMENT_FILES)
def test_any_package_index_will_do(file: str) -> None:
    """Options of pip other than -r would choose an index for the user."""
    options = [line for line in (ROOT / file).read_text("utf-8").splitlines() if line.startswith("-")]
    assert all(line.startswith("-r ") for line in options)
    assert not any(requirement.url for requirement in requirements(file))


@pytest.mark.parametrize("file", REQUIREMENT_FILES)
def test_what_is_installed_is_within_the_bounds(file: str) -> None:
    for requirement in requirements(file):
        assert importlib.metadata.version(requirement.name) in requirement.specifier, requirement


def imported_from_outside() -> set[str]:
    """First names of the modules that the app imports and that are neither ours nor Python's."""
    files = [*ROOT.glob("cxrviewer/**/*.py"), *ROOT.glob("pages/**/*.py"), *ROOT.glob("viewer_app.py")]
    names: set[str] = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names.add(node.module.split(".")[0])
    return names - set(sys.stdlib_module_names) - {"cxrviewer", "pages", "viewer_app"}


def extras() -> set[str]:
    """What the optional extras bring; their names are those of their modules."""
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    found = [Requirement(line) for lines in tables["optional-dependencies"].values() for line in lines]
    assert all({">=", "<"} <= {part.operator for part in requirement.specifier} for requirement in found)
    return {requirement.name for requirement in found}


def test_nothing_is_imported_that_is_not_required() -> None:
    named = {canonicalize_name(requirement.name) for requirement in requirements("requirements.txt")}
    owners = importlib.metadata.packages_distributions()
    for module in imported_from_outside() - set(TRANSITIVE_IMPORTS) - extras():
        distributions = {canonicalize_name(name) for name in owners.get(module, [])}
        assert distributions & named, f"{module} is imported, but no requirement brings it"


# --- licences ------------------------------------------------------------

COPYLEFT = re.compile(r"(?<!L)(?<!Lesser )\b(?:A?GPL|GNU (?:Affero )?General Public)", re.IGNORECASE)
EXCEPTED = re.compile(r"GPL[-\w.]*(?: WITH |-with-)GCC-exception[-\w.]*", re.IGNORECASE)


def licence_of(distribution: importlib.metadata.Distribution) -> str:
    """What the metadata state, in short forms only: the long text may quote licences that do not apply."""
    metadata = distribution.metadata
    short = [metadata.get("License-Expression") or "", (metadata.get("License") or "").split("\n")[0][:120]]
    return " | ".join([*short, *(c for c in metadata.get_all("Classifier", []) if c.startswith("License"))])


def is_gpl(licence: str) -> bool:
    return COPYLEFT.search(EXCEPTED.sub("", licence)) is not None


@pytest.mark.parametrize(
    ("licence", "refused"),
    [
        ("GPL-3.0-or-later", True),
        ("AGPL-3.0-only", True),
        ("License :: OSI Approved :: GNU General Public License v3 (GPLv3)", True),
        ("MIT AND GPL-2.0-only", True),
        ("LGPL-3.0-or-later", False),
        ("License :: OSI Approved :: GNU Lesser General Public License v3", False),
        ("BSD-3-Clause AND GPL-3.0-or-later WITH GCC-exception-3.1", False),
        ("Apache-2.0", False),
    ],
)
def test_licences_are_told_apart(licence: str, refused: bool) -> None:
    assert is_gpl(licence) is refused


def dependency_tree() -> dict[str, importlib.metadata.Distribution]:
    """Every distribution that requirements.txt brings to this machine, by canonical name."""
    found: dict[str, importlib.metadata.Distribution] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    waiting = requirements("requirements.txt")
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras or {""})
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        found[name] = importlib.metadata.distribution(name)
        for inner in map(Requirement, found[name].requires or []):
            environments = ({**default_environment(), "extra": extra} for extra in extras)
            if inner.marker is None or any(inner.marker.evaluate(each) for each in environments):
                waiting.append(inner)
    return found


def test_nothing_of_the_gpl_family_is_brought_in() -> None:
    tree = dependency_tree()
    assert {"torch", "numpy", "streamlit", "matplotlib"} <= set(tree)
    assert "pylibjpeg-libjpeg" not in tree
    gpl = {name: licence_of(each) for name, each in tree.items() if is_gpl(licence_of(each))}
    assert not gpl


def test_the_licence_is_apache_2_in_full() -> None:
    text = (ROOT / "LICENSE").read_text("utf-8")
    assert "Apache License" in text and "Version 2.0, January 2004" in text
    assert all(f"\n   {number}. " in text for number in range(1, 10))


# --- the server's defaults (G24) ------------------------------------------------------------

SAFE = {
    "server.address": "127.0.0.1",
    "server.allowedHosts": ["localhost", "127.0.0.1"],
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "server.enableStaticServing": False,
    "server.headless": True,
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",
    "client.showErrorLinks": False,
    "logger.enableRich": False,
    "client.toolbarMode": "minimal",
    "theme.base": "dark",
}


def config() -> dict[str, Any]:
    """`section.option` -> value of .streamlit/config.toml."""
    sections = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    return {
        f"{section}.{name}": value for section, options in sections.items() for name, value in options.items()
    }


@pytest.mark.parametrize("option", SAFE)
def test_the_server_is_safe_by_default(option: str) -> None:
    assert config()[option] == SAFE[option]


def test_an_upload_has_a_cap_below_what_fills_a_small_machine() -> None:
    assert 64 <= config()["server.maxUploadSize"] <= 512


def test_the_look_is_complete_and_fetches_nothing() -> None:
    tokens = {
        "backgroundColor": "#0e1116",
        "secondaryBackgroundColor": "#161b22",
        "borderColor": "#2b323c",
        "textColor": "#e6edf3",
        "primaryColor": "#58a6ff",
    }
    assert {name: config()[f"theme.{name}"] for name in tokens} == tokens
    assert not [value for value in config().values() if "://" in str(value)]


def test_streamlit_takes_every_option_as_it_stands(tmp_path: Path) -> None:
    """Asked of Streamlit itself: an option that it does not know would be ignored with a warning."""
    look = (
        "import json, sys; from streamlit import config; config.get_config_options(force_reparse=True);"
        "names = json.loads(sys.stdin.read());"
        "json.dump({n: config.get_option(n) for n in names}, sys.stdout)"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STREAMLIT_")}
    done = subprocess.run(
        [sys.executable, "-c", look],
        env=environment | {"HOME": str(tmp_path)},
        input=json.dumps(list(config())),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout) == config()
    assert "not a valid config option" not in done.stderr


# --- the repository ------------------------------------------------------------

MACHINE_PATH = re.compile(r"(?<![\w./~-])/(?:home|root|Users|work|mnt)/\w")
TEXT = {".py", ".md", ".toml", ".txt", ".json", ".yml", ".yaml", ".js", ".ts", ".css", ".html", ".cfg", ""}


def tracked_texts() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.suffix in TEXT and path.is_file()]


def test_no_file_names_a_folder_of_one_machine() -> None:
    files = tracked_texts()
    assert ROOT / "LICENSE" in files
    named = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}"
        for path in files
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1)
        if MACHINE_PATH.search(line)
    ]
    assert not named, "\n".join(named)


def test_a_folder_of_one_machine_would_be_seen() -> None:
    assert MACHINE_PATH.search("open('" + "/home" + "/someone/x.dcm')")
    assert not MACHINE_PATH.search("see ../shared/data, .work/runs and docs/home/x")


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        ".ci/run",
        "docs/decisions/README.md",
    ],
)
def test_the_frame_is_whole(name: str) -> None:
    assert (ROOT / name).read_text("utf-8").strip()


def test_the_two_commands_stand_in_the_readme_and_the_makefile() -> None:
    readme, makefile = ((ROOT / name).read_text("utf-8") for name in ("README.md", "Makefile"))
    for command in ("run", "test"):
        assert f"make {command}" in readme
        assert re.search(rf"^{command}:", makefile, re.MULTILINE)
    assert "make --no-print-directory test" in (ROOT / ".ci" / "run").read_text("utf-8")


@pytest.mark.parametrize(
    ("given", "turns"),
    [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_spin_briefly_unless_told_otherwise(given: dict[str, str], turns: str) -> None:
    """In a process of its own, and set before torch could read it."""
    words = "import cxrviewer, os, sys; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    ours = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"}
    environment = {name: value for name, value in os.environ.items() if name not in ours} | given
    said = subprocess.run(
        [sys.executable, "-c", words], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout.split() == [turns, "False"]


def test_every_decision_is_in_the_index() -> None:
    index = (ROOT / "docs/decisions/README.md").read_text("utf-8")
    missing = [
        file.name for file in (ROOT / "docs/decisions").glob("[0-9]*.md") if f"({file.name})" not in index
    ]
    assert not missing


def test_links_between_documents_lead_somewhere() -> None:
    """Pictures may still be on their way; documents and folders may not."""
    broken = []
    for file in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]:
        for target in re.findall(r"(?<!!)\[[^\]]*\]\(([^)#:]+)[^):]*\)", file.read_text("utf-8")):
            if not (file.parent / target).exists():
                broken.append(f"{file.relative_to(ROOT)} -> {target}")
    assert not broken, "\n".join(broken)
