"""Nothing of a patient's gets into a log line, whatever is handed to the logger."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pydicom
import pytest
import structlog
from pydicom.dataset import Dataset

from cxrviewer.logs import configure_logging, get_logger

NAME = "DOE^JANE"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    with warnings.catch_warnings():
        configure_logging("info", stream)
        yield stream
    structlog.reset_defaults()


def _read(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_known_keys_pass(lines: io.StringIO) -> None:
    get_logger().info(
        "study.opened", digest="3f2a" * 16, seconds=0.05, label="Pleural_Thickening", frame=None
    )
    (line,) = _read(lines)
    assert line["event"] == "study.opened" and line["level"] == "info"
    assert line["digest"] == "3f2a" * 16 and line["seconds"] == 0.05 and line["label"] == "Pleural_Thickening"
    assert str(line["timestamp"]).endswith("Z")


def test_unknown_keys_free_text_and_structures_are_dropped(lines: io.StringIO) -> None:
    get_logger().bind(patient_name="Jane").warning(
        f"opened {NAME}", path="/tmp/jane.dcm", label=NAME, target="two words", method=["Jane"], count=3
    )
    (line,) = _read(lines)
    assert "jane" not in lines.getvalue().lower()
    assert set(line) == {"event", "level", "timestamp", "count"}
    assert line["event"] == "unnamed"


def test_a_line_break_cannot_forge_a_second_line(lines: io.StringIO) -> None:
    get_logger().info("study.opened\nstudy.deleted", digest='ab\n{"event": "x"}')
    assert len(_read(lines)) == 1 and "deleted" not in lines.getvalue()


def test_an_exception_leaves_its_class_and_place_but_not_its_message(lines: io.StringIO) -> None:
    try:
        raise ValueError(f"bad value {NAME} in (0010,0010)")
    except ValueError:
        get_logger().exception("study.failed", kind="unreadable")
    (line,) = _read(lines)
    assert NAME not in lines.getvalue()
    assert line["error"] == "ValueError" and str(line["where"]).startswith("test_logs.py:")


def test_lines_below_the_level_are_not_written(lines: io.StringIO) -> None:
    configure_logging("warning", lines)
    get_logger().info("study.opened")
    assert lines.getvalue() == ""


def test_the_logger_filters_even_when_nobody_set_it_up(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.reset_defaults()
    with warnings.catch_warnings():
        get_logger().info("study.opened", patient_name="Jane")
    structlog.reset_defaults()
    written = capsys.readouterr().err
    assert "study.opened" in written and "Jane" not in written


def test_an_error_that_a_page_did_not_catch_is_logged_without_its_message(
    lines: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    try:
        raise ValueError(f"bad value {NAME}")
    except ValueError as error:
        logging.getLogger("streamlit.error_util").error("Uncaught app execution", exc_info=error)
    assert NAME not in caplog.text
    assert "Uncaught ValueError at test_logs.py:" in caplog.text


def test_pydicom_warnings_that_quote_an_element_are_not_shown(lines: io.StringIO) -> None:
    def warned() -> list[str]:
        with warnings.catch_warnings(record=True) as seen, pytest.MonkeyPatch.context() as patch:
            patch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.WARN)
            Dataset().PatientAge = "JANE DOE'S AGE"
        return [str(warning.message) for warning in seen]

    assert warned() == []
    warnings.simplefilter("always")  # Without the filter it does quote the value: the test above can fail.
    assert any("JANE" in message for message in warned())
