"""Older stores -> the tables of today, in one transaction: all of it or nothing, and no row is lost.

    1 -> 2   studies repeat what lists sort, filter and search by (searched, in_scope, positive, pneumonia)

Two layouts called themselves version 1; a column that is already there is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sqlalchemy import Connection, Index, inspect, select, update

from cxrviewer.archive.tables import SCHEMA_VERSION, ResultRecord, SchemaRecord, StudyRecord

_STUDIES: Final = StudyRecord.__table__
_ADDED_IN_2: Final = {
    "searched": "VARCHAR NOT NULL DEFAULT ''",
    "in_scope": "BOOLEAN",
    "positive": "BOOLEAN",
    "pneumonia": "DOUBLE",
}
_DROPPED_IN_2: Final = ("results_by_pneumonia",)


def migrate(connection: Connection, version: int) -> bool:
    """Bring a store of `version` up to date and say whether that could be done; the caller commits."""
    while version != SCHEMA_VERSION:
        step = _STEPS.get(version)
        if step is None:
            return False
        step(connection)
        version += 1
        connection.execute(update(SchemaRecord).values(version=version))
    return True


def _to_2(connection: Connection) -> None:
    there = {column["name"] for column in inspect(connection).get_columns("studies")}
    for name, kind in _ADDED_IN_2.items():
        if name not in there:
            connection.exec_driver_sql(
                f"ALTER TABLE studies ADD COLUMN {name} {kind}"
            )  # names from above alone
    _fill_2(connection)
    for name in _DROPPED_IN_2:
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")
    for index in sorted(_STUDIES.indexes, key=lambda index: str(index.name)):  # type: ignore[attr-defined]
        _make_anew(connection, index)


def _fill_2(connection: Connection) -> None:
    """What each study is searched by, and its cover's last answer, as archive.records writes them."""
    studies = connection.execute(
        select(StudyRecord.id, StudyRecord.patient_name, StudyRecord.patient_id, StudyRecord.source_name)
    ).all()
    for study_id, *identity in studies:
        connection.execute(
            update(StudyRecord)
            .where(StudyRecord.id == study_id)
            .values(searched="\n".join(identity).casefold())
        )
    answer = select(ResultRecord).where(ResultRecord.id == StudyRecord.result_id)
    connection.execute(
        update(StudyRecord).values(
            in_scope=answer.with_only_columns(ResultRecord.in_scope).scalar_subquery(),
            positive=answer.with_only_columns(ResultRecord.positive).scalar_subquery(),
            pneumonia=answer.with_only_columns(ResultRecord.pneumonia).scalar_subquery(),
        )
    )


def _make_anew(connection: Connection, index: Index) -> None:
    """An index of the same name may have had other columns."""
    connection.exec_driver_sql(f"DROP INDEX IF EXISTS {index.name}")
    index.create(connection)


_STEPS: Final[dict[int, Callable[[Connection], None]]] = {1: _to_2}
"""Version -> what leads to the next one."""
