"""Logs on stderr that cannot carry patient text: every key and every text value has to be of a known sort.

    log = get_logger()
    log.info("study.opened", digest=radiograph.digest, seconds=0.05)

A line is readable on a terminal and one JSON object otherwise. What is let through:

* the event, a dotted lower-case name fixed in the code (`study.opened`);
* the keys of `ALLOWED_KEYS`, others are dropped, so a name or a path has nowhere to go;
* numbers, truth values, and short single-word texts: ids, digests, labels; any other value is dropped;
* of an exception its class and the place it was raised, never its message, which may quote the file.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
import warnings
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

from cxrviewer.settings import LogLevel

ALLOWED_KEYS = frozenset(
    {
        "event",
        "level",
        "timestamp",
        "error",
        "where",
        "kind",
        "status",
        "state",
        "pid",
        "port",
        "worker",
        "signal",
    }
    | {
        "digest",
        "study",
        "model",
        "weights_sha256",
        "app_version",
        "method",
        "label",
        "task",
        "target",
        "frame",
    }
    | {"dataset", "split", "part", "run", "epoch", "step", "batch", "loss", "delta", "progress"}
    | {"device", "engine", "precision", "threads"}
    | {"count", "images", "patients", "samples", "segments", "reasons", "bytes", "pixels", "rows", "columns"}
    | {"seconds", "decode_seconds", "predict_seconds"}
)

_EVENT = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_WORD = re.compile(r"[A-Za-z0-9_.:+-]{1,128}")

# pydicom quotes the offending value when it warns of a bad element, and that value may be a patient's name.
_QUOTES_CONTENT = "pydicom"

# What a page did not catch is written here, whole. (A name only: this file does not know Streamlit.)
_WRITES_TRACEBACKS = ("streamlit.error_util",)


def _is_plain(value: object) -> bool:
    return (
        value is None
        or isinstance(value, bool | int | float)
        or (isinstance(value, str) and _WORD.fullmatch(value) is not None)
    )


def name_exceptions(
    _logger: object, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace `exc_info` by `error` (the class) and `where` (file:line). The message is left behind."""
    info = event.pop("exc_info", None)
    error = sys.exc_info()[1] if info is True else info[1] if isinstance(info, tuple) else info
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        frames = traceback.extract_tb(error.__traceback__)
        if frames:
            event["where"] = f"{Path(frames[-1].filename).name}:{frames[-1].lineno}"
    return event


def keep_known(_logger: object, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """Drop what is not on the list; a free-text event becomes `unnamed`."""
    kept = {key: value for key, value in event.items() if key in ALLOWED_KEYS and _is_plain(value)}
    name = event.get("event")
    kept["event"] = name if isinstance(name, str) and _EVENT.fullmatch(name) else "unnamed"
    return kept


def _hide_message(record: logging.LogRecord) -> bool:
    """A filter for loggers of libraries that write tracebacks: class and place stay, the message goes."""
    if record.exc_info:
        named = name_exceptions(None, "", {"exc_info": record.exc_info})
        record.msg, record.args = "Uncaught %s at %s", (named.get("error"), named.get("where", "unknown"))
        record.exc_info = record.exc_text = None
    return True


def configure_logging(level: LogLevel = "info", stream: TextIO | None = None) -> None:
    """Set up the logs of this process; a child process started by spawn calls it again. Default: stderr."""
    out = sys.stderr if stream is None else stream
    renderer = structlog.dev.ConsoleRenderer() if out.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            name_exceptions,
            keep_known,
            # After the filter: both write fixed vocabularies of their own.
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # Looked up at every line: a host program (or a test) may put another stream in the place of stderr.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr if stream is None else stream),
        cache_logger_on_first_use=False,
    )
    for name in _WRITES_TRACEBACKS:
        logging.getLogger(name).addFilter(_hide_message)  # Adding it again changes nothing.
    logging.getLogger(_QUOTES_CONTENT).setLevel(logging.CRITICAL + 1)
    warnings.filterwarnings("ignore", module=rf"{_QUOTES_CONTENT}(\.|$)")


def get_logger() -> structlog.typing.FilteringBoundLogger:
    """The one logger. It filters from its first line on: where nobody has set the logs up, this does."""
    if not structlog.is_configured():
        configure_logging()
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger()
    return logger
