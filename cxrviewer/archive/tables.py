"""The tables. Identity stands in columns of its own, on the study; times are UTC, ISO 8601."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

SCHEMA_VERSION = 2
"""Raised with every change of these tables, together with a step in migrating.py."""


class Base(DeclarativeBase):
    """All tables."""


class SchemaRecord(Base):
    """One row: which version of these tables the file holds."""

    __tablename__ = "schema_version"

    version: Mapped[int] = mapped_column(primary_key=True)


class StudyRecord(Base):
    """One study. The columns below `cover` repeat the cover picture's, so that a list needs no other table."""

    __tablename__ = "studies"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    patient_name: Mapped[str]
    patient_id: Mapped[str]
    birth_date: Mapped[str]
    imported: Mapped[str]
    cover: Mapped[str] = mapped_column(String(64))
    source_name: Mapped[str]
    searched: Mapped[str]
    """Name, number and file name, case folded: identity as well."""
    study_date: Mapped[str | None]
    view: Mapped[str | None]
    meta: Mapped[dict[str, Any]] = mapped_column(JSON)
    frames: Mapped[int]
    instances: Mapped[int]
    result_id: Mapped[int | None]
    """The cover's newest result. No foreign key, since results already point here through their instance."""
    in_scope: Mapped[bool | None]
    positive: Mapped[bool | None]
    pneumonia: Mapped[float | None]

    # One index an order, with the ties, so that a page is read off its end; and one that a search reads alone.
    __table_args__ = (
        Index("studies_by_import", "imported", "id"),
        Index("studies_by_date", "study_date", "imported", "id"),
        Index("studies_by_pneumonia", "pneumonia", "imported", "id"),
        Index("studies_by_name", text("patient_name COLLATE NOCASE"), text("imported DESC"), text("id DESC")),
        Index("studies_by_answer", "positive", "in_scope", "imported", "id"),
        Index("studies_searched", "searched", "imported", "id"),
    )


class InstanceRecord(Base):
    """One file, keyed by the digest of the bytes received: other pixels are another row, whatever the UID."""

    __tablename__ = "instances"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    stored_digest: Mapped[str] = mapped_column(String(64))
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id", ondelete="CASCADE"), index=True)
    imported: Mapped[str]
    source_name: Mapped[str]
    frames: Mapped[int]
    meta: Mapped[dict[str, Any]] = mapped_column(JSON)


class ResultRecord(Base):
    """One answer on one frame, with all of promise G16. The columns below `seconds` repeat what lists show."""

    __tablename__ = "results"

    id: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(ForeignKey("instances.digest", ondelete="CASCADE"))
    frame: Mapped[int]
    model_id: Mapped[str]
    weights_sha256: Mapped[str] = mapped_column(String(64))
    variant: Mapped[str] = mapped_column(String(64))
    preprocessing: Mapped[str]
    thresholds: Mapped[dict[str, Any]] = mapped_column(JSON)
    engine: Mapped[str]
    device: Mapped[str]
    app_version: Mapped[str]
    created: Mapped[str]
    scope: Mapped[dict[str, Any]] = mapped_column(JSON)
    scores: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    seconds: Mapped[float]
    in_scope: Mapped[bool]
    pneumonia: Mapped[float | None]
    positive: Mapped[bool | None]
    band: Mapped[str | None]
    top_label: Mapped[str | None]
    top_probability: Mapped[float | None]

    __table_args__ = (UniqueConstraint("digest", "frame", "weights_sha256", "variant"),)


class RemovalRecord(Base):
    """A file whose study is deleted and which is still to be removed from the disk."""

    __tablename__ = "removals"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
