"""The questions that a list of studies asks. Every value is bound (promise G10)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import defer

from cxrviewer.archive.rows import Order, StudyFilter
from cxrviewer.archive.tables import ResultRecord, StudyRecord

_ORDERS: dict[Order, tuple[ColumnElement[Any], ...]] = {
    Order.NEWEST: (),
    # SQLite holds NULL for the smallest, so that what is not known stands last.
    Order.STUDY_DATE: (StudyRecord.study_date.desc(),),
    Order.PNEUMONIA: (StudyRecord.pneumonia.desc(),),
    Order.NAME: (StudyRecord.patient_name.collate("NOCASE"),),
}
_TIES = (StudyRecord.imported.desc(), StudyRecord.id.desc())


def _conditions(wanted: StudyFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    # instr() and not LIKE: a typed % or _ means itself, and case folding reaches beyond ASCII.
    conditions += [func.instr(StudyRecord.searched, word) > 0 for word in wanted.text.casefold().split()]
    if wanted.view is not None:
        conditions.append(StudyRecord.view == wanted.view.value)
    if wanted.in_scope is not None:
        conditions.append(StudyRecord.in_scope == wanted.in_scope)
    if wanted.positive is not None:
        conditions.append(StudyRecord.positive == wanted.positive)
    if wanted.since:
        conditions.append(StudyRecord.study_date >= wanted.since)
    if wanted.until:
        conditions.append(StudyRecord.study_date <= wanted.until)
    return conditions


def count_of(wanted: StudyFilter) -> Select[int]:
    """How many studies match."""
    return select(func.count()).select_from(StudyRecord).where(*_conditions(wanted))


def page_of(wanted: StudyFilter, page: int, size: int) -> Select[StudyRecord, ResultRecord]:
    """The studies of one page with their covers' last results, or None in their place."""
    order = (*_ORDERS[wanted.order], *_TIES)
    # The ids first: what is skipped on the way to a late page is then never read whole.
    ids = (
        select(StudyRecord.id)
        .where(*_conditions(wanted))
        .order_by(*order)
        .limit(size)
        .offset((page - 1) * size)
    )
    return (
        select(StudyRecord, ResultRecord)
        .outerjoin(ResultRecord, ResultRecord.id == StudyRecord.result_id)
        .options(defer(ResultRecord.scores), defer(ResultRecord.thresholds))
        .where(StudyRecord.id.in_(ids))
        .order_by(*order)
    )
