"""How things read on a screen: short, exact, the same everywhere. Nothing here draws."""

from __future__ import annotations

from datetime import datetime

from cxrviewer.classifiers.targets import Target
from cxrviewer.labels import plain
from cxrviewer.studies.radiograph import Identity, Metadata

INTENDED_USE = "For research and teaching only. Not a medical device: no diagnosis may rest on it."
NOT_EVIDENCE = "A map is not evidence of disease: it shows what moved this network's answer."
NO_MODEL = "No model is installed: pictures can be read, no score is given."
GET_A_MODEL = "Put a bundle into the models folder, or train one: see the README."


def counted(count: int, one: str, many: str = "") -> str:
    """`1 pair`, `1,204 pairs`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def probability(value: float | None) -> str:
    """`0.93`; a dash where there is none. Never 0.00 or 1.00, which would claim to be certain."""
    if value is None:
        return "–"
    return "<0.01" if value < 0.005 else ">0.99" if value >= 0.995 else f"{value:.2f}"


def target_label(target: Target) -> str:
    """`Pneumonia` for the binary head, `Pneumonia (finding)` where the same word stands among the findings."""
    return name_label(target.name)


def name_label(name: str) -> str:
    """The same for a target's name, as a card's tables spell it."""
    if name in ("Pneumonia", "findings:Pneumonia"):
        return "Pneumonia (finding)"
    return plain(name)


def age_sex(metadata: Metadata) -> str:
    """`61 F`; months below two years; empty where nothing is stated."""
    age = metadata.age_years
    years = "" if age is None else f"{round(age * 12)} mo" if age < 2 else f"{int(age)}"
    return " ".join(part for part in (years, metadata.sex or "") if part)


def patient(identity: Identity, shown: bool) -> str:
    """Initials, or the name where the reader asked for it; `no name` where the file states none."""
    if not identity.patient_name.strip():
        return "no name"
    return identity.patient_name.replace("^", " ").strip() if shown else identity.initials or "–"


def moment(iso: str, zone: str | None = None) -> str:
    """A UTC time, short, in the reader's zone: `21 Nov 14:05`, with the year where it is another one."""
    import zoneinfo

    time = datetime.fromisoformat(iso)
    try:
        time = time.astimezone(zoneinfo.ZoneInfo(zone) if zone else None)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):  # the browser's word for its zone
        time = time.astimezone()
    day = f"{time.day} {time:%b}"
    return f"{day} {time:%H:%M}" if time.year == datetime.now(time.tzinfo).year else f"{day} {time.year}"


def shown_size(shown: tuple[int, int], shape: tuple[int, int]) -> str:
    """`2500 × 2048 px`, and at what size it is shown where that is smaller. (H, W) each; width comes first."""
    whole = f"{shape[1]} × {shape[0]} px"
    return whole if shown == shape else f"shown at {shown[1]} × {shown[0]} of {whole}"


def picture_title(identity: Identity, meta: Metadata, names_shown: bool) -> tuple[str, ...]:
    """What heads the viewer: patient, age and sex, view, date."""
    return (
        patient(identity, names_shown),
        age_sex(meta) or "age and sex not stated",
        meta.view.value if meta.view else "view not stated",
        meta.study_date or "date not stated",
    )
