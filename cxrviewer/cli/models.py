"""`models`: the bundles there are, their cards, their checks, and which one serves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cxrviewer.cli.output import FAILED, answering, error_json, say, say_json
from cxrviewer.cli.predicting import AsJson

if TYPE_CHECKING:
    from cxrviewer.classifiers.registry import ModelInfo

app = typer.Typer(
    no_args_is_help=True, help="Model bundles: list, show, verify, use, get, average.", rich_markup_mode=None
)

Id = Annotated[str, typer.Argument(metavar="ID", help="A model's id.")]


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Every bundle, shipped or your own; the serving one is marked with a star."""
    with answering(as_json):
        from cxrviewer.classifiers.registry import list_models

        for info in list_models():
            if as_json:
                say_json(_info_json(info))
            else:
                say(f"{'*' if info.serving else ' '}{info.id}: {info.problem or _about(info)}")


@app.command()
def show(model: Id) -> None:
    """A model's card, as JSON."""
    with answering(False):
        from cxrviewer.classifiers.card import read_card
        from cxrviewer.classifiers.registry import find
        from cxrviewer.settings import get_settings

        card = read_card(find(model, get_settings()))
        typer.echo(json.dumps(card.model_dump(mode="json"), indent=2, ensure_ascii=True))


@app.command()
def verify(
    models: Annotated[list[str] | None, typer.Argument(metavar="[ID...]", help="Default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read bundles whole and check hash, keys, shapes, types and finiteness."""
    with answering(as_json):
        from cxrviewer.classifiers.registry import list_models, verify
        from cxrviewer.errors import ModelBundleError

        failed = False
        for model in models or [info.id for info in list_models()]:
            try:
                bundle = verify(model)
            except ModelBundleError as error:
                failed = True
                content = {"id": model, "ok": False, "error": error_json(error.kind, str(error))}
                say_json(content) if as_json else say(f"{model}: {error}")
                continue
            sha = bundle.card.weights_sha256
            say_json({"id": model, "ok": True, "weights_sha256": sha}) if as_json else say(
                f"{model}: whole, weights {sha[:12]}"
            )
        if failed:
            raise typer.Exit(FAILED)


@app.command()
def use(model: Id) -> None:
    """Make a model the serving one, after checking it whole. A bad one changes nothing."""
    with answering(False):
        from cxrviewer.classifiers.registry import use
        from cxrviewer.settings import get_settings

        use(model)
        say(f"{model} serves from now on.")
        if get_settings().model not in (None, model):
            say("CXR_MODEL is set to another one, which comes first. Unset it.")


@app.command()
def available(as_json: AsJson = False) -> None:
    """Published weights that `get` can fetch; those that you have are marked with a star."""
    with answering(as_json):
        from cxrviewer.classifiers.getting import available

        for offer in available():
            entry = offer.published
            if as_json:
                say_json(
                    {
                        "name": entry.name,
                        "present": offer.present,
                        "serves": entry.serves,
                        "backbone": entry.backbone,
                        "size": entry.size,
                        "megabytes": entry.megabytes,
                        "trained_on": entry.trained_on,
                        "labels": [label for label in entry.labels if label],
                        "licence": entry.licence,
                        "url": entry.url,
                    }
                )
                continue
            what = f"{sum(map(bool, entry.labels))} findings" if entry.serves else "a start for training"
            say(
                f"{'*' if offer.present else ' '}{entry.name}: {what}, {entry.size} px, {entry.megabytes:.0f} MB, "
                f"learnt from {entry.trained_on}. {entry.licence}"
            )


@app.command()
def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One that `models available` lists.")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="URL", help="Another place: https, http or file://.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch published weights, make a bundle of them and check it. It does not serve until you `use` it."""
    with answering(as_json):
        from cxrviewer.classifiers.getting import fetch
        from cxrviewer.cli.output import note
        from cxrviewer.settings import get_settings

        told: set[int] = set()

        def tell(share: float, words: str) -> None:
            if (tenth := int(10 * share)) not in told:  # a line a tenth, not one a packet
                told.add(tenth)
                note(f"{share:4.0%} {words}")

        got = fetch(name, get_settings().data_dir / "models", tell, source_url=source)
        if as_json:
            say_json({"name": name, "ok": True, "model": got.model_id})
        elif got.model_id is None:
            say(f"{name} is here: a run whose recipe says pretrained starts from it.")
        else:
            say(f"{got.model_id} is here. `python -m cxrviewer models use {got.model_id}` makes it serve.")


@app.command()
def average(
    members: Annotated[list[str], typer.Argument(metavar="ID ID...", help="Two to sixteen models.")],
    model: Annotated[str, typer.Option("--as", metavar="ID", help="The id of the new model.")],
) -> None:
    """Make one model of several: its log-odds are the mean of theirs. It does not serve until you `use` it."""
    with answering(False):
        from cxrviewer.classifiers.averaging import average
        from cxrviewer.classifiers.getting import store
        from cxrviewer.classifiers.registry import verify
        from cxrviewer.settings import get_settings

        store(*average([verify(member) for member in members], model), get_settings().data_dir / "models")
        say(f"{model} is here. `python -m cxrviewer models use {model}` makes it serve.")


def _about(info: ModelInfo) -> str:
    if info.card is None:
        return "no card."
    origin = "shipped" if info.shipped else "your own"
    return (
        f"{info.card.title or info.card.task} ({origin}, {info.card.created[:10]}, "
        f"weights {info.card.weights_sha256[:12]})"
    )


def _info_json(info: ModelInfo) -> dict[str, Any]:
    card = info.card
    return {
        "id": info.id,
        "title": card.title if card else None,
        "task": card.task if card else None,
        "created": card.created if card else None,
        "weights_sha256": card.weights_sha256 if card else None,
        "shipped": info.shipped,
        "serving": info.serving,
        "problem": info.problem or None,
    }
