"""Which models there are, and which one serves. A bad bundle is named with its reason; the others go on.

Listing reads cards alone; torch, which takes seconds to load, is imported where weights are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrviewer.classifiers.card import CARD, Card, read_card
from cxrviewer.errors import ModelBundleError
from cxrviewer.files import write_whole
from cxrviewer.settings import Settings, get_settings

if TYPE_CHECKING:
    from cxrviewer.classifiers.bundle import Bundle
    from cxrviewer.classifiers.model import ServingModel

CHOICE = "serving.json"
KEPT_CHOICES = 20


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
    serving = _serving_folder(settings)
    found = []
    for parent in settings.models_dirs:
        for folder in _folders(parent):
            card, problem = None, ""
            try:
                card = read_card(folder)
            except ModelBundleError as exc:
                problem = str(exc)
            shipped = parent == settings.models_dir
            found.append(ModelInfo(folder.name, folder, card, shipped, folder == serving, problem))
    return tuple(found)


def _folders(parent: Path) -> Iterator[Path]:
    """Bundle folders by name; those that a write has not finished begin with a dot."""
    for card_file in sorted(parent.glob(f"*/{CARD}")):
        if not card_file.parent.name.startswith("."):
            yield card_file.parent


def _serving_folder(settings: Settings) -> Path | None:
    """None as well where the choice is damaged or leads nowhere: the list must show what else could be chosen."""
    try:
        model_id = serving_id(settings)
        return None if model_id is None else find(model_id, settings)
    except ModelBundleError:
        return None


def serving_id(settings: Settings) -> str | None:
    """The setting, else the choice made with `use`, else the newest classification bundle that is shipped."""
    if settings.model:
        return settings.model
    choice = settings.data_dir / CHOICE
    if choice.is_file():
        try:
            return str(json.loads(choice.read_text(encoding="utf-8"))["model"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as exc:
            raise ModelBundleError(
                f"{CHOICE} in the data folder is damaged.", "Choose the serving model again."
            ) from exc
    for parent in settings.models_dirs:
        if cards := [card for folder in _folders(parent) if (card := _classification(folder))]:
            return max(cards, key=lambda card: card.created).id
    return None


def _classification(folder: Path) -> Card | None:
    try:
        card = read_card(folder)
    except ModelBundleError:
        return None  # a damaged bundle must not keep the good ones from serving; list_models() names it
    return card if card.task == "classification" else None


def find(model_id: str, settings: Settings) -> Path:
    """The folder of a bundle: one that a person made comes before a shipped one of the same id."""
    for parent in reversed(settings.models_dirs):
        for folder in _folders(parent):
            if folder.name == model_id:
                return folder
    raise ModelBundleError(
        "There is no model of that id.", "`python -m cxrviewer models list` shows those there are."
    )


def bundle_below(run: Path) -> Path:
    """The one bundle that a training run has made. Raises ModelBundleError."""
    for folder in _folders(run / "bundle"):
        return folder
    raise ModelBundleError("The run has no bundle yet.", "Let it finish first.")


def verify(model_id: str, settings: Settings | None = None) -> Bundle:
    """Read a bundle whole and check it. Raises ModelBundleError with the reason."""
    from cxrviewer.classifiers.bundle import open_bundle

    return open_bundle(find(model_id, settings or get_settings()))


def open_model(model_id: str | None = None, settings: Settings | None = None) -> ServingModel:
    """The model of that id, or the serving one. Raises ModelBundleError where there is none or it fails a check."""
    import torch

    from cxrviewer.classifiers.model import ServingModel

    settings = settings or get_settings()
    model_id = model_id or serving_id(settings)
    if model_id is None:
        raise ModelBundleError("There is no model.", "Put a bundle into the models folder, or train one.")
    if settings.threads:
        torch.set_num_threads(settings.threads)  # the fast engine takes over the number
    return ServingModel(
        _that_serves(model_id, settings),
        engine=settings.engine,
        device=settings.device,
        site_prevalence=settings.site_prevalence,
        operating_point=settings.operating_point,
    )


def _that_serves(model_id: str, settings: Settings) -> Bundle:
    bundle = verify(model_id, settings)
    if bundle.card.task != "classification":
        raise ModelBundleError(
            f"Model {model_id} is a {bundle.card.task} model.", "Choose a classification model."
        )
    return bundle


def use(model_id: str, settings: Settings | None = None) -> Path:
    """Make a checked bundle the serving one. The old one goes on serving where the new one fails its checks."""
    settings = settings or get_settings()
    _that_serves(model_id, settings)
    earlier = _history(settings)
    if not earlier or earlier[-1] != model_id:
        earlier = [*earlier, model_id]
    return _choose(earlier, settings)


def undo(settings: Settings | None = None) -> str | None:
    """Let the model serve again that served before the last `use`; returns its id, None for no choice of one's own.

    Raises ModelBundleError where nothing was chosen, or the earlier model no longer serves; then nothing changes.
    """
    settings = settings or get_settings()
    *earlier, _now = _history(settings) or [""]
    if not _now:
        raise ModelBundleError(
            "There is no earlier choice to go back to.", "Choose a model with `models use ID`."
        )
    if earlier:
        _that_serves(earlier[-1], settings)
        _choose(earlier, settings)
        return earlier[-1]
    (settings.data_dir / CHOICE).unlink(missing_ok=True)
    return None


def earlier_choice(settings: Settings | None = None) -> tuple[bool, str | None]:
    """Whether `undo` has something to go back to, and to which model (None: to that of the program)."""
    *earlier, _now = _history(settings or get_settings()) or [""]
    return bool(_now), earlier[-1] if earlier else None


def _history(settings: Settings) -> list[str]:
    """The choices made here, the latest last; empty where there is none, or the file is damaged."""
    try:
        content = json.loads((settings.data_dir / CHOICE).read_text(encoding="utf-8"))
        return [*map(str, content.get("earlier", [])), str(content["model"])]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def _choose(choices: list[str], settings: Settings) -> Path:
    """Write the last of the choices as the present one, and the others as the way back, by one rename."""
    *earlier, model_id = choices[-KEPT_CHOICES:]
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    content = {"model": model_id} | ({"earlier": earlier} if earlier else {})
    write_whole(settings.data_dir / CHOICE, json.dumps(content) + "\n")
    return settings.data_dir / CHOICE
