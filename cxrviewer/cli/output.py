"""What the commands say, and where: results on stdout, everything else on stderr.

Text from files is neutralised before it is printed (promise G9): a name may hold terminal escapes. JSON is ASCII, so
every other character arrives as an escape.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, NoReturn

import typer

from cxrviewer.errors import ConfigurationError, CxrError
from cxrviewer.studies.deidentify import plain_text

FAILED, USAGE = 1, 2
"""Exit statuses; 0 is that all inputs were answered."""

KINDS: Final = frozenset(
    {
        "not-found",
        "unreadable",
        "unsupported",
        "too-large",
        "timeout",
        "out-of-scope",
        "unknown-target",
        "no-model",
        "internal",
    }
)
"""Every kind that scripts have to know; others are told as `internal`."""

_LONGEST = 2000


class Device(StrEnum):
    """Where the network runs."""

    CPU = "cpu"
    CUDA = "cuda"


def say(text: str) -> None:
    """One line of result, without any control character."""
    typer.echo(plain_text(text, _LONGEST))


def say_json(content: object) -> None:
    """One JSON object on one line, ASCII. A number that is not finite is a fault, not a result."""
    typer.echo(json.dumps(content, ensure_ascii=True, allow_nan=False))


def note(text: str) -> None:
    """One line beside the results."""
    typer.echo(plain_text(text, _LONGEST), err=True)


def error_json(kind: str, message: str) -> dict[str, str]:
    """The `error` object of the contract."""
    return {"kind": kind if kind in KINDS else CxrError.kind, "message": message}


@contextlib.contextmanager
def answering(as_json: bool, **about: object) -> Iterator[None]:
    """The boundary of a command: whatever goes wrong inside becomes one calm message and an exit status.

    about: what the JSON error names besides (the source).
    """
    from cxrviewer.logs import configure_logging, get_logger

    configure_logging(log_level())
    try:
        yield
    except CxrError as error:
        if error.kind == "usage":
            note(str(error))
            raise typer.Exit(USAGE) from error
        fail(error.kind, str(error), as_json, **about)
    except OSError as error:
        if error.errno == errno.EPIPE:  # whoever read stdout has left: click ends quietly
            raise
        get_logger().error("command.failed", exc_info=error)
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        message = "The disk is full. Free some space." if full else "A file could not be read or written."
        fail(CxrError.kind, message, as_json, **about)
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:  # noqa: BLE001 - the program's boundary: a traceback may quote the file
        get_logger().error("command.failed", exc_info=error)
        fail(CxrError.kind, "The program failed. The line above names the place.", as_json, **about)


def check_output(folder: Path) -> None:
    """Can `--out` be written to? It need not exist yet. Raises ConfigurationError, before any work is done."""
    nearest = next((path for path in (folder, *folder.absolute().parents) if path.exists()), folder)
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise ConfigurationError(
            "The folder given under --out cannot be written to.", "Choose another folder, or free its name."
        )


def fail(kind: str, message: str, as_json: bool, **about: object) -> NoReturn:
    """Tell one failure and end with status 1."""
    if as_json:
        say_json({**about, "ok": False, "error": error_json(kind, message)})
    else:
        note(message)
    raise typer.Exit(FAILED)


def log_level() -> Any:
    """Warnings, unless CXR_LOG_LEVEL asks for more: a command's own lines say what it does."""
    if not os.environ.get("CXR_LOG_LEVEL"):
        return "warning"
    from cxrviewer.settings import get_settings

    return get_settings().log_level


@contextlib.contextmanager
def progress(label: str, *, beside_results: bool = False) -> Iterator[Callable[[float], None]]:
    """A bar on stderr where that is a terminal, else nothing. Gives the function that takes the share done.

    beside_results: results are printed meanwhile, so that on a terminal they are the progress.
    """
    if not sys.stderr.isatty() or (beside_results and sys.stdout.isatty()):
        yield lambda _share: None
        return
    from rich.console import Console
    from rich.progress import Progress

    # Not redirected: rich would send what is printed to stdout to the bar's own stream.
    with Progress(
        console=Console(stderr=True), transient=True, redirect_stdout=False, redirect_stderr=False
    ) as bar:
        task = bar.add_task(label, total=1.0)
        yield lambda share: bar.update(task, completed=share)


@contextlib.contextmanager
def counter(label: str) -> Iterator[Callable[[int], None]]:
    """As `progress`, for work whose end is not known: shows how many are done."""
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.status import Status

    with Status(label, console=Console(stderr=True)) as status:
        yield lambda done: status.update(f"{label}: {done} done")
