"""The questions that a list of studies asks. Every value is bound (promise G10)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, defer

from cxrviewer.archive.rows import Order, StudyFilter
from cxrviewer.archive.tables import ResultRecord, StudyRecord

_ORDERS: dict[Order, tuple[ColumnElement[Any] | InstrumentedAttribute[Any], ...]] = {
    Order.NEWEST: (),
    Order.STUDY_DATE: (StudyRecord.study_date.desc().nulls_last(),),
    Order.PNEUMONIA: (ResultRecord.pneumonia.desc().nulls_last(),),
    Order.NAME: (func.lower(StudyRecord.patient_name),),
}
_TIES = (StudyRecord.imported.desc(), StudyRecord.id)

_SEARCHED = (StudyRecord.patient_name, StudyRecord.patient_id, StudyRecord.source_name)


def _conditions(wanted: StudyFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    for word in wanted.text.split():
        # autoescape: a typed % or _ means itself.
        conditions.append(or_(*(column.icontains(word, autoescape=True) for column in _SEARCHED)))
    if wanted.view is not None:
        conditions.append(StudyRecord.view == wanted.view.value)
    if wanted.in_scope is not None:
        conditions.append(ResultRecord.in_scope == wanted.in_scope)
    if wanted.positive is not None:
        conditions.append(ResultRecord.positive == wanted.positive)
    if wanted.since:
        conditions.append(StudyRecord.study_date >= wanted.since)
    if wanted.until:
        conditions.append(StudyRecord.study_date <= wanted.until)
    return conditions


def count_of(wanted: StudyFilter) -> Select[int]:
    """How many studies match."""
    question = select(func.count()).select_from(StudyRecord)
    if wanted.in_scope is not None or wanted.positive is not None:
        question = question.outerjoin(ResultRecord, ResultRecord.id == StudyRecord.result_id)
    return question.where(*_conditions(wanted))


def page_of(wanted: StudyFilter, page: int, size: int) -> Select[StudyRecord, ResultRecord]:
    """The studies of one page with their covers' last results, or None in their place."""
    return (
        select(StudyRecord, ResultRecord)
        .outerjoin(ResultRecord, ResultRecord.id == StudyRecord.result_id)
        .options(defer(ResultRecord.scores), defer(ResultRecord.thresholds))
        .where(*_conditions(wanted))
        .order_by(*_ORDERS[wanted.order], *_TIES)
        .limit(size)
        .offset((page - 1) * size)
    )
