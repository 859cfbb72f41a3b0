"""The study store: files by digest, and a SQLite file of studies, instances and results.

    <data folder>/archive.sqlite3     studies, instances, results
    <data folder>/files/ab/<sha256>   the bytes received, a DICOM preamble set to zero
    <data folder>/thumbnails/         PNG by the same digest
    <data folder>/explanations/       maps, a cache with a cap

What a call has returned is on the disk. Any thread may call; several processes may share the folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from cxrviewer.archive import records
from cxrviewer.archive.database import Database, damaged_stores, told_plainly
from cxrviewer.archive.explanations import MAX_BYTES, ExplanationCache
from cxrviewer.archive.files import FileStore, sha256
from cxrviewer.archive.queries import count_of, page_of
from cxrviewer.archive.rows import (
    ExplanationKey,
    InstanceRow,
    StoredResult,
    StudyFilter,
    StudyPage,
    StudyRow,
)
from cxrviewer.archive.tables import InstanceRecord, RemovalRecord, ResultRecord, StudyRecord
from cxrviewer.archive.thumbnails import thumbnail_of
from cxrviewer.classifiers.prediction import Prediction
from cxrviewer.errors import NotFoundError
from cxrviewer.logs import get_logger
from cxrviewer.studies.deidentify import plain_text, scrub_preamble
from cxrviewer.studies.radiograph import Radiograph

if TYPE_CHECKING:
    from cxrviewer.explainers.explainer import Explanation

DATABASE = "archive.sqlite3"
MAX_PAGE = 1000


class Archive:
    """The store below one data folder. Every method raises ArchiveError where the disk or the store fails."""

    def __init__(self, data_dir: Path, explanation_bytes: int = MAX_BYTES) -> None:
        self._path = data_dir / DATABASE
        with told_plainly():
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._files = FileStore(data_dir / "files")
            self._thumbnails = FileStore(data_dir / "thumbnails", ".png")
            self._explanations = ExplanationCache(data_dir / "explanations", explanation_bytes)
        self._database = Database(self._path)
        with told_plainly():
            self._files.sweep()
            self._thumbnails.sweep()
        self._finish_removals()

    def close(self) -> None:
        """Let go of the database file."""
        self._database.close()

    def notices(self) -> tuple[str, ...]:
        """What a person must know about the store: one sentence or two each; empty when all is well."""
        found = [
            f"A damaged study store was set aside as {path.name}; its studies are not in the list. "
            "The files themselves are kept. Import them again, or restore a backup."
            for path in damaged_stores(self._path)
        ]
        if not found and not self.studies(size=1).total and next(self._files.digests(), None):
            found.append("There are stored files, but the list of studies is empty. Restore a backup.")
        return tuple(found)

    # Studies

    def import_study(self, data: bytes, radiograph: Radiograph, source_name: str = "") -> InstanceRow:
        """Keep a file that `radiograph` was decoded from. Known bytes change nothing.

        On return the file and its row are durable (G18). The same UID with other bytes is another row (G17).
        """
        digest = sha256(data)
        if digest != radiograph.digest:
            raise ValueError("the radiograph was decoded from other bytes")
        stored = scrub_preamble(data)
        thumbnail = thumbnail_of(radiograph)
        # The files inside the transaction: a deletion of the same digest waits for it, in any process.
        with self._database.writing() as session:
            self._files.put(digest, stored)
            self._thumbnails.put(digest, thumbnail)
            session.execute(delete(RemovalRecord).where(RemovalRecord.digest == digest))
            instance = session.get(InstanceRecord, digest)
            if instance is None:
                instance = _new_instance(radiograph, sha256(stored), source_name)
                _join_study(session, radiograph, instance)
            study = session.get_one(StudyRecord, instance.study_id)
            session.flush()
            row = records.instance_row(instance, study)
        get_logger().info("archive.imported", digest=digest, study=row.study_id)
        return row

    def studies(self, wanted: StudyFilter | None = None, page: int = 1, size: int = 50) -> StudyPage:
        """One page of the studies that match, and how many match in all. `page` counts from 1."""
        wanted, page, size = wanted or StudyFilter(), max(1, page), min(max(1, size), MAX_PAGE)
        with self._database.reading() as session:
            total = session.scalar(count_of(wanted)) or 0
            found = session.execute(page_of(wanted, page, size)).all()
            rows = tuple(records.study_row(study, result) for study, result in found)
        return StudyPage(rows, total, page, size)

    def study(self, study_id: str) -> StudyRow:
        """One study. Raises NotFoundError."""
        with self._database.reading() as session:
            record = session.get(StudyRecord, study_id)
            if record is None:
                raise _no_study()
            result = session.get(ResultRecord, record.result_id) if record.result_id else None
            return records.study_row(record, result)

    def instances(self, study_id: str) -> tuple[InstanceRow, ...]:
        """The files of a study in the order of import. Raises NotFoundError."""
        with self._database.reading() as session:
            study = session.get(StudyRecord, study_id)
            if study is None:
                raise _no_study()
            found = session.scalars(
                select(InstanceRecord)
                .where(InstanceRecord.study_id == study_id)
                .order_by(InstanceRecord.imported, InstanceRecord.digest)
            )
            return tuple(records.instance_row(record, study) for record in found)

    def instance(self, digest: str) -> InstanceRow:
        """One file's row. Raises NotFoundError."""
        with self._database.reading() as session:
            record = session.get(InstanceRecord, digest)
            if record is None:
                raise _no_file()
            return records.instance_row(record, session.get_one(StudyRecord, record.study_id))

    def holds(self, digest: str) -> bool:
        """True where a file of this digest is kept."""
        with self._database.reading() as session:
            return session.get(InstanceRecord, digest) is not None

    def bytes_of(self, digest: str) -> bytes:
        """The stored bytes (zero preamble), checked against their digest. Raises NotFoundError, ArchiveError."""
        stored_digest = self.instance(digest).stored_digest
        with told_plainly():
            return self._files.get_checked(digest, stored_digest)

    def thumbnail(self, digest: str) -> bytes | None:
        """A grey PNG, 96 pixels high, or None."""
        with told_plainly():
            return self._thumbnails.get(digest)

    def delete_study(self, study_id: str) -> None:
        """Remove a study with its files, results and maps. Raises NotFoundError."""
        with self._database.writing() as session:
            study = session.get(StudyRecord, study_id)
            if study is None:
                raise _no_study()
            digests = session.scalars(
                select(InstanceRecord.digest).where(InstanceRecord.study_id == study_id)
            )
            session.add_all([RemovalRecord(digest=digest) for digest in digests])
            session.delete(study)
        self._finish_removals()
        get_logger().info("archive.deleted", study=study_id)

    # Results

    def save_result(self, prediction: Prediction, variant: str = "") -> None:
        """Keep an answer; a newer one to the same question replaces it. Raises NotFoundError without its file."""
        provenance = prediction.provenance
        with self._database.writing() as session:
            instance = session.get(InstanceRecord, prediction.digest)
            if instance is None:
                raise _no_file()
            record = session.scalar(
                select(ResultRecord).where(
                    ResultRecord.digest == prediction.digest,
                    ResultRecord.frame == prediction.frame,
                    ResultRecord.weights_sha256 == provenance.weights_sha256,
                    ResultRecord.variant == variant,
                )
            )
            if record is None:
                record = ResultRecord()
                session.add(record)
            records.fill_result(record, prediction, variant)
            session.flush()
            study = session.get_one(StudyRecord, instance.study_id)
            if study.cover == prediction.digest and prediction.frame == 1:
                records.show_answer(study, record)

    def result(
        self, digest: str, frame: int, weights_sha256: str, variant: str | None = None
    ) -> StoredResult | None:
        """The answer of these weights on this frame; `variant` None takes the newest one."""
        question = select(ResultRecord).where(
            ResultRecord.digest == digest,
            ResultRecord.frame == frame,
            ResultRecord.weights_sha256 == weights_sha256,
        )
        if variant is not None:
            question = question.where(ResultRecord.variant == variant)
        with self._database.reading() as session:
            record = session.scalar(question.order_by(ResultRecord.created.desc()).limit(1))
            return records.stored_result(record) if record else None

    def results(self, digest: str, frame: int = 1) -> tuple[StoredResult, ...]:
        """Every answer on a frame, newest first."""
        with self._database.reading() as session:
            found = session.scalars(
                select(ResultRecord)
                .where(ResultRecord.digest == digest, ResultRecord.frame == frame)
                .order_by(ResultRecord.created.desc())
            )
            return tuple(records.stored_result(record) for record in found)

    # Explanations

    def save_explanation(self, key: ExplanationKey, explanation: Explanation) -> None:
        """Keep a map in the cache."""
        with told_plainly():
            self._explanations.put(key, explanation)

    def explanation(self, key: ExplanationKey) -> Explanation | None:
        """The map of exactly this key, or None."""
        return self._explanations.get(key)

    def unlisted(self) -> Iterator[str]:
        """Digests of files that no row knows: what a damaged store left behind."""
        with self._database.reading() as session:
            listed = set(session.scalars(select(InstanceRecord.digest)))
        with told_plainly():
            yield from (digest for digest in self._files.digests() if digest not in listed)

    def _finish_removals(self) -> None:
        """Remove the files of deleted studies: now, or at the next start where this one is cut short."""
        with self._database.reading() as session:
            if not session.scalar(select(func.count()).select_from(RemovalRecord)):
                return
        with self._database.writing() as session:
            for record in session.scalars(select(RemovalRecord)).all():
                self._files.remove(record.digest)
                self._thumbnails.remove(record.digest)
                self._explanations.remove(record.digest)
                session.delete(record)


def _new_instance(radiograph: Radiograph, stored_digest: str, source_name: str) -> InstanceRecord:
    return InstanceRecord(
        digest=radiograph.digest,
        stored_digest=stored_digest,
        imported=records.now(),
        source_name=plain_text(source_name),
        frames=radiograph.frames,
        meta=records.metadata_to_json(radiograph.metadata),
    )


def _join_study(session: Session, radiograph: Radiograph, instance: InstanceRecord) -> None:
    """Add a file to its study, making the study where it is the first; the first frontal one is the cover."""
    instance.study_id = records.study_id_of(radiograph)
    study = session.get(StudyRecord, instance.study_id)
    if study is None:
        study = StudyRecord(
            id=instance.study_id,
            patient_name=radiograph.identity.patient_name,
            patient_id=radiograph.identity.patient_id,
            birth_date=radiograph.identity.birth_date,
            imported=instance.imported,
            instances=0,
        )
        records.show_on_cover(study, instance)
        session.add(study)
        session.flush()
    elif records.is_frontal(instance.meta) and not records.is_frontal(study.meta):
        records.show_on_cover(study, instance)
    study.instances += 1
    session.add(instance)


def _no_study() -> NotFoundError:
    return NotFoundError("There is no such study.", "It may have been deleted: go back to the worklist.")


def _no_file() -> NotFoundError:
    return NotFoundError("There is no such file in the store.", "Import it first.")
