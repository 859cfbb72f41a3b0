"""`datasets cache`: what is said and what is removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cxrviewer.cli import app
from cxrviewer.settings import get_settings


def test_the_cache_is_shown_and_cleared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("CXR_PICTURE_CACHE_GB", "3")
    get_settings.cache_clear()
    try:
        rule = tmp_path / "cache" / "pictures" / "a rule"
        rule.mkdir(parents=True)
        (rule / "one.pack").write_bytes(bytes(10_000_000))
        shown = CliRunner().invoke(app, ["datasets", "cache"])
        assert shown.exit_code == 0 and shown.stdout == "0.01 of 3 GB, 1 ways of preparing\n"
        cleared = CliRunner().invoke(app, ["datasets", "cache", "--clear", "--json"])
        assert json.loads(cleared.stdout) == {
            "bytes": 0,
            "rules": 0,
            "freed": 10_000_000,
            "cap": 3_000_000_000,
        }
        assert not rule.exists()
    finally:
        get_settings.cache_clear()
