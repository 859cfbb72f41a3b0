"""Which models there are, and which one serves. A bad bundle is named with its reason; the others go on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cxrviewer.classifiers.bundle import CARD, Bundle, open_bundle, read_card
from cxrviewer.classifiers.card import Card
from cxrviewer.classifiers.model import ServingModel
from cxrviewer.errors import ModelBundleError
from cxrviewer.settings import Settings, get_settings

CHOICE = "serving.json"


@dataclass(frozen=True)
class ModelInfo:
    """One bundle folder. `problem` says why it cannot serve; `card` is None where it could not be read."""

    id: str
    path: Path
    card: Card | None
    shipped: bool
    serving: bool
    problem: str = ""


def list_models(settings: Settings | None = None) -> tuple[ModelInfo, ...]:
    """Every bundle in the shipped folder and in the data folder, by id. Weights are not read."""
    settings = settings or get_settings()
    chosen = serving_id(settings)
    found = []
    for parent in settings.models_dirs:
        for card_file in sorted(parent.glob(f"*/{CARD}")):
            folder = card_file.parent
            if folder.name.startswith("."):
                continue
            shipped = parent == settings.models_dir
            try:
                card, problem = read_card(folder), ""
            except ModelBundleError as exc:
                card, problem = None, str(exc)
            found.append(ModelInfo(folder.name, folder, card, shipped, folder.name == chosen, problem))
    return tuple(found)


def serving_id(settings: Settings) -> str | None:
    """The setting, else the choice made with `use`, else the newest classification bundle that is shipped."""
    if settings.model:
        return settings.model
    choice = settings.data_dir / CHOICE
    if choice.is_file():
        try:
            return str(json.loads(choice.read_text(encoding="utf-8"))["model"])
        except (ValueError, KeyError, TypeError) as exc:
            raise ModelBundleError(
                f"{CHOICE} in the data folder is damaged.", "Choose the serving model again."
            ) from exc
    cards = []
    for parent in settings.models_dirs:
        for card_file in parent.glob(f"*/{CARD}"):
            try:
                card = read_card(card_file.parent)
            except ModelBundleError:
                continue  # a damaged bundle must not keep the good ones from serving; list_models() names it
            if card.task == "classification":
                cards.append(card)
        if cards:
            break
    return max(cards, key=lambda card: card.created).id if cards else None


def find(model_id: str, settings: Settings) -> Path:
    """The folder of a bundle: one that a person made comes before a shipped one of the same id."""
    for parent in reversed(settings.models_dirs):
        for card_file in parent.glob(f"*/{CARD}"):
            if card_file.parent.name == model_id:
                return card_file.parent
    raise ModelBundleError(
        "There is no model of that id.", "`python -m cxrviewer models list` shows those there are."
    )


def verify(model_id: str, settings: Settings | None = None) -> Bundle:
    """Read a bundle whole and check it. Raises ModelBundleError with the reason."""
    return open_bundle(find(model_id, settings or get_settings()))


def open_model(model_id: str | None = None, settings: Settings | None = None) -> ServingModel:
    """The model of that id, or the serving one. Raises ModelBundleError where there is none or it fails a check."""
    settings = settings or get_settings()
    model_id = model_id or serving_id(settings)
    if model_id is None:
        raise ModelBundleError("There is no model.", "Put a bundle into the models folder, or train one.")
    bundle = verify(model_id, settings)
    if bundle.card.task != "classification":
        raise ModelBundleError(
            f"Model {model_id} is a {bundle.card.task} model.", "Choose a classification model."
        )
    return ServingModel(
        bundle, engine=settings.engine, device=settings.device, site_prevalence=settings.site_prevalence
    )


def use(model_id: str, settings: Settings | None = None) -> Path:
    """Make a checked bundle the serving one. The old one goes on serving where the new one fails its checks."""
    settings = settings or get_settings()
    verify(model_id, settings)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    choice = settings.data_dir / CHOICE
    temporary = choice.with_suffix(".new")
    temporary.write_text(json.dumps({"model": model_id}) + "\n", encoding="utf-8")
    return temporary.replace(choice)
