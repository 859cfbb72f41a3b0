"""The SQLite file: how it is opened, checked, set aside when damaged, and written to.

Write-ahead log with synchronous FULL: what a commit has acknowledged survives kill -9 and loss of power
(sqlite.org/pragma.html#pragma_synchronous). Values are always bound.
"""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import event, exc, select
from sqlalchemy.orm import Session

from cxrviewer.archive.migrating import migrate
from cxrviewer.archive.tables import SCHEMA_VERSION, Base, SchemaRecord
from cxrviewer.errors import ArchiveError
from cxrviewer.logs import get_logger

BUSY_MILLISECONDS = 15_000

_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # What is deleted is overwritten: a name must not stay readable in a free page.
    "PRAGMA secure_delete = ON",
)

_FULL = ArchiveError("The disk is full, so nothing was stored.", "Free some space and try again.")
_READ_ONLY = ArchiveError(
    "The data folder cannot be written.", "Check its permissions, or choose another one with CXR_DATA_DIR."
)
_DAMAGED = ArchiveError(
    "The study store is damaged.", "Start the program again: the store is then checked and set aside."
)
_BUSY = ArchiveError("Another program is using the study store.", "Close it, or wait a little and try again.")
_BROKEN = ArchiveError("The study store cannot be read or written.", "Check the disk of the data folder.")

_BY_ERRNO = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _READ_ONLY,
    errno.EPERM: _READ_ONLY,
}
_BY_SQLITE_CODE = {
    sqlite3.SQLITE_FULL: _FULL,
    sqlite3.SQLITE_READONLY: _READ_ONLY,
    sqlite3.SQLITE_CANTOPEN: _READ_ONLY,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
}


def _primary_code(error: BaseException | None) -> int | None:
    """SQLite's error without the extended part, which sits above the low byte."""
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else int(code) & 0xFF


@contextlib.contextmanager
def told_plainly() -> Iterator[None]:
    """Turn what the disk or SQLite says into an ArchiveError with a remedy; the cause is kept."""
    try:
        yield
    except OSError as error:
        raise _like(_BY_ERRNO.get(error.errno or 0, _BROKEN)) from error
    except exc.DBAPIError as error:
        raise _like(_BY_SQLITE_CODE.get(_primary_code(error.orig) or -1, _BROKEN)) from error


def _like(error: ArchiveError) -> ArchiveError:
    """A fresh one: raising a shared exception would grow its traceback."""
    return ArchiveError(error.message, error.remedy)


class Database:
    """One SQLite file. A session a call, so any thread may use it. Raises ArchiveError."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        with told_plainly():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not is_sound(path):
                set_aside(path)
            self._engine = _engine(path)
            self._writer = self._engine.execution_options(begin="IMMEDIATE")
            self._create()

    @contextlib.contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that sees one state of the store throughout."""
        with told_plainly(), Session(self._engine) as session:
            yield session

    @contextlib.contextmanager
    def writing(self) -> Iterator[Session]:
        """A session that holds the write lock from its start, commits at the end and else rolls back.

        BEGIN IMMEDIATE, since a transaction that reads first and writes later may be refused without waiting.
        """
        # Threads queue here rather than in SQLite, whose waiting is polling and not fair.
        with told_plainly(), self._lock, Session(self._writer) as session:
            session.connection()
            yield session
            session.commit()

    def close(self) -> None:
        """Let go of the file."""
        self._engine.dispose()

    def _create(self) -> None:
        with self._writer.connect() as connection:
            Base.metadata.create_all(connection)
            version = connection.scalar(select(SchemaRecord.version))
            known = True
            if version is None:
                connection.execute(sqlalchemy.insert(SchemaRecord).values(version=SCHEMA_VERSION))
            else:
                known = migrate(connection, version)
            if known:
                connection.commit()
        if not known:
            self.close()
            raise ArchiveError(
                f"The study store has version {version}; this program reads versions up to {SCHEMA_VERSION}.",
                "Use the program's version that wrote it, or choose another folder with CXR_DATA_DIR.",
            )
        if version not in (None, SCHEMA_VERSION):
            get_logger().info("archive.migrated", before=version, now=SCHEMA_VERSION)


def _engine(path: Path) -> sqlalchemy.Engine:
    url = sqlalchemy.URL.create("sqlite", database=str(path))
    # Error messages must not quote the bound values: they may be a patient's name.
    engine = sqlalchemy.create_engine(
        url, hide_parameters=True, connect_args={"timeout": BUSY_MILLISECONDS / 1000}
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        # The driver would begin transactions by itself, too late and never before reads or DDL.
        connection.isolation_level = None
        for pragma in _PRAGMAS:
            connection.execute(pragma)

    @event.listens_for(engine, "begin")
    def _begin(connection: sqlalchemy.Connection) -> None:
        mode = connection.get_execution_options().get("begin", "DEFERRED")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if mode == "IMMEDIATE" else "BEGIN")

    return engine


def is_sound(path: Path) -> bool:
    """SQLite's own quick check; a file that does not exist yet is sound. Raises OSError and DBAPIError."""
    if not path.exists():
        return True
    connection = sqlite3.connect(path, timeout=BUSY_MILLISECONDS / 1000)
    try:
        return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.DatabaseError as error:
        if _primary_code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return False
        raise _like(_BY_SQLITE_CODE.get(_primary_code(error) or -1, _BROKEN)) from error
    finally:
        connection.close()


def set_aside(path: Path) -> Path:
    """Rename a damaged store, with its log, and return the new name. Nothing is deleted."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    # The log first: beside a new store it would be taken for that one's.
    for suffix in ("-wal", "-shm", ""):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(aside.with_name(aside.name + suffix))
    get_logger().error("archive.set_aside")
    return aside


def damaged_stores(path: Path) -> tuple[Path, ...]:
    """Every damaged store that still lies beside this one, oldest first."""
    found = path.parent.glob(f"{path.name}.damaged-*")
    return tuple(sorted(file for file in found if not file.name.endswith(("-wal", "-shm"))))
