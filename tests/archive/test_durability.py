"""Acknowledged means durable and damage is told (G18); a full or read-only disk leaves nothing half-written (G21)."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cxrviewer.archive import Archive
from cxrviewer.archive import files as files_module
from cxrviewer.archive.database import is_sound
from cxrviewer.archive.files import FileStore, sha256
from cxrviewer.classifiers.prediction import Prediction
from cxrviewer.errors import ArchiveError
from cxrviewer.studies.radiograph import Radiograph

WEIGHTS = "ab" * 32
KILLS = 30
Make = Callable[..., Radiograph]
Answer = Callable[..., Prediction]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL") or not hasattr(os, "fork"), reason="needs POSIX")
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    writer = Path(__file__).with_name("writer.py")
    data_dir = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, str(writer), str(data_dir), str(KILLS)],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(writer.parents[2])},
    )
    assert done.returncode == 0, done.stderr
    acknowledged = json.loads(done.stdout)["acknowledged"]
    assert len(acknowledged) >= KILLS
    archive = Archive(data_dir)
    assert archive.notices() == ()
    for digest in acknowledged:
        assert hashlib.sha256(archive.bytes_of(digest)).hexdigest() == digest
        assert archive.result(digest, 1, WEIGHTS) is not None
        assert archive.thumbnail(digest) is not None
    # Every row, acknowledged or not, has its whole file.
    pages = archive.studies(size=1000)
    assert pages.total == len(pages.rows)
    rows = [row for study in pages.rows for row in archive.instances(study.id)]
    assert {row.digest for row in rows} >= set(acknowledged)
    assert all(archive.bytes_of(row.digest) for row in rows)
    assert sum(study.instances for study in pages.rows) == len(rows)
    archive.close()


def _damage_text(path: Path) -> None:
    path.write_bytes(b"this is no database, " * 500)


def _damage_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    for start in range(4096, len(content), 4096):
        content[start : start + 64] = b"\xff" * 64
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [_damage_text, _damage_pages])
def test_a_damaged_store_is_set_aside_and_told(
    archive: Archive, radiograph: Make, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    for number in range(20):
        data = bytes([number]) * 50
        archive.import_study(data, radiograph(data, name="Doe^Jane", uid=str(number)))
    archive.close()
    path = tmp_path / "data" / "archive.sqlite3"
    damage(path)
    damaged = path.read_bytes()
    assert not is_sound(path)

    again = Archive(tmp_path / "data")
    (notice,) = again.notices()
    (aside,) = (tmp_path / "data").glob("archive.sqlite3.damaged-*")
    assert aside.name in notice
    assert "Import them again" in notice
    assert aside.read_bytes() == damaged, "nothing of it is lost"
    assert again.studies().total == 0
    assert len(list(again.unlisted())) == 20, "the files are still there"
    again.import_study(b"new", radiograph(b"new"))
    again.close()

    third = Archive(tmp_path / "data")
    assert third.studies().total == 1
    assert third.notices() == (notice,), "told until a person has moved it away"
    third.close()


def test_a_lost_list_beside_stored_files_is_told(archive: Archive, radiograph: Make, tmp_path: Path) -> None:
    archive.import_study(b"one", radiograph(b"one"))
    assert archive.notices() == ()
    archive.close()
    (tmp_path / "data" / "archive.sqlite3").write_bytes(b"")
    again = Archive(tmp_path / "data")
    (notice,) = again.notices()
    assert "list of studies is empty" in notice
    again.close()


def test_a_newer_store_is_refused_and_left_alone(archive: Archive, tmp_path: Path) -> None:
    archive.close()
    path = tmp_path / "data" / "archive.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE schema_version SET version = 99")
    connection.close()
    with pytest.raises(ArchiveError, match="version 99"):
        Archive(tmp_path / "data")
    assert not list((tmp_path / "data").glob("*.damaged-*"))


def _full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["write", "fsync", "open"])
def test_a_full_disk_is_told_and_nothing_is_half_written(
    archive: Archive,
    radiograph: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
) -> None:
    archive.import_study(b"before", radiograph(b"before"))
    with monkeypatch.context() as patched:
        if call == "write":
            patched.setattr(files_module, "_write_synced", _half_written)
        else:
            patched.setattr(files_module.os, call, _full)
        with pytest.raises(ArchiveError, match="disk is full") as caught:
            archive.import_study(b"one", radiograph(b"one", name="Doe^Jane"))
    assert "Doe" not in str(caught.value)
    assert archive.studies().total == 1
    assert not archive.holds(sha256(b"one"))
    assert list(archive.unlisted()) == []
    assert not list((tmp_path / "data").rglob("*.part-*"))
    archive.import_study(b"one", radiograph(b"one"))
    assert archive.bytes_of(sha256(b"one")) == b"one", "it goes on when there is space again"


def _half_written(path: Path, data: bytes) -> None:
    path.write_bytes(data[: len(data) // 2])
    _full()


def test_a_database_without_space_is_told_and_recovers(
    archive: Archive, radiograph: Make, prediction: Answer
) -> None:
    picture = radiograph(b"one")
    archive.import_study(b"one", picture)
    engine = archive._database._engine
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def limit(dbapi_connection: Any, *_: object) -> None:
        dbapi_connection.execute(f"PRAGMA max_page_count = {int(pages)}")

    import sqlalchemy

    engine.dispose()
    sqlalchemy.event.listen(engine, "connect", limit)
    with pytest.raises(ArchiveError, match="disk is full"):
        for number in range(2, 500):
            archive.save_result(prediction(picture.digest, frame=number))
    assert archive.studies().total == 1
    sqlalchemy.event.remove(engine, "connect", limit)
    engine.dispose()
    archive.save_result(prediction(picture.digest, frame=9999))
    assert archive.result(picture.digest, 9999, WEIGHTS) is not None


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)
    with pytest.raises(ArchiveError, match="cannot be written"):
        Archive(tmp_path / "data")


def test_a_read_only_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ArchiveError, match="CXR_DATA_DIR"):
        Archive(tmp_path / "data")


def test_a_store_in_use_is_told_not_set_aside(
    archive: Archive, radiograph: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import cxrviewer.archive.database as database

    archive.close()
    monkeypatch.setattr(database, "BUSY_MILLISECONDS", 50)
    impatient = Archive(tmp_path / "data")
    other = sqlite3.connect(tmp_path / "data" / "archive.sqlite3", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(ArchiveError, match="Another program"):
        impatient.import_study(b"one", radiograph(b"one"))
    other.execute("ROLLBACK")
    other.close()
    assert impatient.import_study(b"one", radiograph(b"one")).digest == sha256(b"one")
    impatient.close()


def test_the_settings_that_durability_rests_on(archive: Archive) -> None:
    with archive._database._engine.connect() as connection:
        values = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        ]
    assert values == ["wal", 2, 1, 1]


def test_only_the_owner_can_read_the_files(archive: Archive, radiograph: Make, tmp_path: Path) -> None:
    archive.import_study(b"one", radiograph(b"one"))
    folder = tmp_path / "data"
    assert folder.stat().st_mode & 0o077 == 0
    (path,) = (folder / "files").rglob(sha256(b"one"))
    assert path.stat().st_mode & 0o077 == 0


def test_leftovers_of_broken_writes_go_once_they_are_old(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "files")
    store.put(sha256(b"one"), b"one")
    folder = store.path(sha256(b"one")).parent
    old, young = folder / ".part-old", folder / ".part-young"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.sweep()
    assert (old.exists(), young.exists()) == (False, True)
    assert list(store.digests()) == [sha256(b"one")]
