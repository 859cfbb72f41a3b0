"""Stores written by earlier versions open with everything that was in them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from cxrviewer.archive import Archive, Order, StudyFilter, migrating
from cxrviewer.archive.tables import SCHEMA_VERSION
from cxrviewer.classifiers.prediction import Prediction
from cxrviewer.studies.radiograph import Radiograph

WEIGHTS = "ab" * 32
Make = Callable[..., Radiograph]
Answer = Callable[..., Prediction]

FIRST_STUDIES = """
CREATE TABLE studies (
    id VARCHAR(32) NOT NULL, patient_name VARCHAR NOT NULL, patient_id VARCHAR NOT NULL, birth_date VARCHAR NOT NULL,
    imported VARCHAR NOT NULL, cover VARCHAR(64) NOT NULL, source_name VARCHAR NOT NULL, study_date VARCHAR,
    "view" VARCHAR, meta JSON NOT NULL, frames INTEGER NOT NULL, instances INTEGER NOT NULL, result_id INTEGER,
    PRIMARY KEY (id)
);
CREATE INDEX studies_by_import ON studies (imported, id);
CREATE INDEX studies_by_name ON studies (patient_name);
CREATE INDEX studies_by_date ON studies (study_date);
CREATE INDEX results_by_pneumonia ON results (pneumonia);
"""
"""What the first of the two layouts of version 1 had in place of today's; its other tables were the same."""


@pytest.fixture
def stored(tmp_path: Path, radiograph: Make, prediction: Answer) -> Path:
    """A data folder of today: two studies with answers, a third without."""
    archive = Archive(tmp_path / "data")
    for number, name in enumerate(("Doe^Jane", "Ärger^Émile", "Roe^Rita")):
        data = bytes([number]) * 20
        archive.import_study(
            data, radiograph(data, uid=str(number), name=name, study_date=f"2020-01-0{number + 1}")
        )
        if number < 2:
            archive.save_result(prediction(radiograph(data).digest, pneumonia=0.2 + number / 2))
    archive.close()
    return tmp_path / "data"


@pytest.fixture(params=["first", "second"])
def old(request: pytest.FixtureRequest, stored: Path) -> Path:
    """The same folder as one of the two layouts called version 1 left it."""
    with _opened(stored) as connection:
        if request.param == "first":
            kept = "id, patient_name, patient_id, birth_date, imported, cover, source_name, study_date, view, meta, "
            kept += "frames, instances, result_id"
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("PRAGMA legacy_alter_table = ON")
            connection.execute("ALTER TABLE studies RENAME TO today")
            for (name,) in connection.execute(
                "SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'today' AND sql IS NOT NULL"
            ).fetchall():
                connection.execute(f"DROP INDEX {name}")
            connection.executescript(FIRST_STUDIES)
            connection.execute(f"INSERT INTO studies ({kept}) SELECT {kept} FROM today")  # noqa: S608 - names from above
            connection.execute("DROP TABLE today")
        connection.execute("UPDATE schema_version SET version = 1")
    return stored


class _opened:
    """A connection that commits and closes."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "archive.sqlite3")

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.commit()
        self._connection.close()


def layout(folder: Path) -> tuple[set[tuple[str, ...]], set[str]]:
    """Columns of every table and the text of every index, whatever their order."""
    with _opened(folder) as connection:
        tables = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        columns = {
            (table, row[1], row[2], str(row[5]))
            for table in tables
            for row in connection.execute(f"PRAGMA table_info({table})")
        }
        indexes = {
            sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index'") if sql
        }
    return columns, indexes


def test_an_older_store_opens_with_everything_in_it(
    old: Path, tmp_path: Path, radiograph: Make, prediction: Answer
) -> None:
    archive = Archive(old)
    assert archive.notices() == ()
    rows = archive.studies(StudyFilter(order=Order.NAME)).rows
    assert [row.identity.patient_name for row in rows] == ["Doe^Jane", "Roe^Rita", "Ärger^Émile"]
    assert [row.result and row.result.pneumonia for row in rows] == [0.2, None, 0.7]
    assert archive.studies(StudyFilter(text="émile ÄRGER")).total == 1
    assert archive.studies(StudyFilter(in_scope=True)).total == 2
    by_score = archive.studies(StudyFilter(order=Order.PNEUMONIA)).rows
    assert [row.identity.patient_name for row in by_score] == ["Ärger^Émile", "Doe^Jane", "Roe^Rita"]
    for number in range(3):
        data = bytes([number]) * 20
        digest = radiograph(data).digest
        assert archive.bytes_of(digest) == data
        assert (archive.result(digest, 1, WEIGHTS) is not None) == (number < 2)
    archive.import_study(b"new", radiograph(b"new", uid="9", name="New^Nina"))
    archive.save_result(prediction(radiograph(b"new").digest))
    assert archive.studies(StudyFilter(text="nina")).total == 1
    archive.close()

    fresh = Archive(tmp_path / "fresh")
    fresh.close()
    assert layout(old) == layout(tmp_path / "fresh")
    with _opened(old) as connection:
        assert connection.execute("SELECT version FROM schema_version").fetchall() == [(SCHEMA_VERSION,)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []


def test_a_migration_that_is_cut_short_changes_nothing(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _dump(old)

    def power_fails(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(migrating, "_make_anew", power_fails)
        with pytest.raises(KeyboardInterrupt):
            Archive(old)
    assert _dump(old) == before
    again = Archive(old)
    assert again.studies().total == 3
    again.close()


def _dump(folder: Path) -> list[str]:
    with _opened(folder) as connection:
        return list(connection.iterdump())


def test_opening_twice_migrates_once(old: Path) -> None:
    Archive(old).close()
    once = _dump(old)
    Archive(old).close()
    assert _dump(old) == once
