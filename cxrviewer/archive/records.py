"""Rows of the tables <-> frozen values. The only place that knows both."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from typing import Any

from cxrviewer.archive.rows import InstanceRow, ResultSummary, StoredResult, StudyRow
from cxrviewer.archive.tables import InstanceRecord, ResultRecord, StudyRecord
from cxrviewer.classifiers.prediction import Band, Prediction, Provenance, ScopeAnswer, Score
from cxrviewer.classifiers.targets import Target
from cxrviewer.labels import Head
from cxrviewer.studies.radiograph import Identity, Metadata, Radiograph, View

FRONTAL = (View.PA, View.AP)


def now() -> str:
    """UTC, ISO 8601, milliseconds: sorts as text."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def study_id_of(radiograph: Radiograph) -> str:
    """32 hexadecimal digits: the study UID together with who the patient is, else the file's own digest.

    The patient counts because a UID alone is not to be trusted: two people must never stand in one study.
    """
    uid, identity = radiograph.metadata.study_instance_uid, radiograph.identity
    key = (
        [uid, identity.patient_name, identity.patient_id, identity.birth_date] if uid else [radiograph.digest]
    )
    return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]


def metadata_to_json(metadata: Metadata) -> dict[str, Any]:
    """Field by field; a view as its text."""
    return asdict(metadata)


def metadata_from_json(content: Mapping[str, Any]) -> Metadata:
    """Fields that this version does not know are left out."""
    known = {field.name for field in fields(Metadata)}
    values = {name: value for name, value in content.items() if name in known}
    values["view"] = View(values["view"]) if values.get("view") else None
    return Metadata(**values)


def _score_to_json(score: Score) -> dict[str, Any]:
    return {
        "head": score.target.head.value,
        "label": score.target.label,
        "logit": float(score.logit),
        "probability": float(score.probability),
        "prevalence": score.prevalence,
        "threshold": score.threshold,
        "positive": score.positive,
        "sensitivity": score.sensitivity,
        "specificity": score.specificity,
        "band": score.band.value if score.band else None,
    }


def _score_from_json(content: Mapping[str, Any]) -> Score:
    return Score(
        target=Target(Head(content["head"]), content["label"]),
        logit=content["logit"],
        probability=content["probability"],
        prevalence=content["prevalence"],
        threshold=content["threshold"],
        positive=content["positive"],
        sensitivity=content["sensitivity"],
        specificity=content["specificity"],
        band=Band(content["band"]) if content["band"] else None,
    )


def fill_result(record: ResultRecord, prediction: Prediction, variant: str) -> None:
    """Write a prediction into a new row or over an older answer to the same question."""
    provenance, pneumonia = prediction.provenance, prediction.pneumonia
    top = next(iter(prediction.findings), None)
    record.digest, record.frame, record.variant = prediction.digest, prediction.frame, variant
    record.model_id, record.weights_sha256 = provenance.model_id, provenance.weights_sha256
    record.preprocessing, record.engine = provenance.preprocessing, provenance.engine
    record.device, record.app_version = provenance.device, provenance.app_version
    record.created, record.seconds = provenance.created, float(prediction.seconds)
    record.thresholds = {score.target.name: score.threshold for score in prediction.scores}
    record.scope = asdict(prediction.scope)
    record.scores = [_score_to_json(score) for score in prediction.scores]
    record.in_scope = prediction.scope.in_scope
    record.pneumonia = float(pneumonia.probability) if pneumonia else None
    record.positive = pneumonia.positive if pneumonia else None
    record.band = pneumonia.band.value if pneumonia and pneumonia.band else None
    record.top_label = top.target.label if top else None
    record.top_probability = float(top.probability) if top else None


def _scope(content: Mapping[str, Any]) -> ScopeAnswer:
    return ScopeAnswer(content["in_scope"], tuple(content["reasons"]), tuple(content["cautions"]))


def stored_result(record: ResultRecord) -> StoredResult:
    """The prediction as it was saved."""
    provenance = Provenance(
        model_id=record.model_id,
        weights_sha256=record.weights_sha256,
        app_version=record.app_version,
        engine=record.engine,
        device=record.device,
        preprocessing=record.preprocessing,
        created=record.created,
    )
    scores = tuple(_score_from_json(score) for score in record.scores)
    prediction = Prediction(
        record.digest, record.frame, _scope(record.scope), scores, provenance, record.seconds
    )
    return StoredResult(prediction, record.variant, dict(record.thresholds))


def result_summary(record: ResultRecord) -> ResultSummary:
    """What a list shows of an answer."""
    scope = _scope(record.scope)
    return ResultSummary(
        in_scope=scope.in_scope,
        reasons=scope.reasons,
        cautions=scope.cautions,
        pneumonia=record.pneumonia,
        positive=record.positive,
        band=Band(record.band) if record.band else None,
        top_label=record.top_label,
        top_probability=record.top_probability,
        model_id=record.model_id,
        weights_sha256=record.weights_sha256,
        app_version=record.app_version,
        created=record.created,
    )


def identity_of(record: StudyRecord) -> Identity:
    """The patient of a study."""
    return Identity(record.patient_name, record.patient_id, record.birth_date)


def study_row(record: StudyRecord, result: ResultRecord | None) -> StudyRow:
    """A study with its cover's last answer."""
    return StudyRow(
        id=record.id,
        digest=record.cover,
        identity=identity_of(record),
        metadata=metadata_from_json(record.meta),
        imported=record.imported,
        instances=record.instances,
        frames=record.frames,
        source_name=record.source_name,
        result=result_summary(result) if result else None,
    )


def instance_row(record: InstanceRecord, study: StudyRecord) -> InstanceRow:
    """A stored file."""
    return InstanceRow(
        digest=record.digest,
        stored_digest=record.stored_digest,
        study_id=record.study_id,
        frames=record.frames,
        identity=identity_of(study),
        metadata=metadata_from_json(record.meta),
        imported=record.imported,
        source_name=record.source_name,
    )


def show_answer(study: StudyRecord, result: ResultRecord | None) -> None:
    """Let a study be listed with this answer on its cover, or with none."""
    study.result_id = result.id if result else None
    study.in_scope = result.in_scope if result else None
    study.positive = result.positive if result else None
    study.pneumonia = result.pneumonia if result else None


def show_on_cover(study: StudyRecord, instance: InstanceRecord) -> None:
    """Let a study be listed by this picture, which has no answer yet."""
    show_answer(study, None)
    study.cover, study.source_name = instance.digest, instance.source_name
    study.meta, study.frames = instance.meta, instance.frames
    identity = (study.patient_name, study.patient_id, study.source_name)
    study.searched = "\n".join(identity).casefold()
    study.study_date, study.view = instance.meta["study_date"], instance.meta["view"]


def is_frontal(meta: Mapping[str, Any]) -> bool:
    """True where the header states a frontal view."""
    return meta.get("view") in FRONTAL
