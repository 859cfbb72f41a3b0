"""`train`: a training run in the foreground; `runs`: those in the background, and every run folder there is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxrviewer.cli.output import answering, progress, say, say_json
from cxrviewer.cli.predicting import AsJson
from cxrviewer.cli.results import RunId, find_run, report_after

if TYPE_CHECKING:
    from cxrviewer.training.run_listing import RunStatus

runs = typer.Typer(
    no_args_is_help=True,
    help="Training runs: list, show, start, cancel, resume, delete, clone, promote.",
    rich_markup_mode=None,
)


def train(
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="The run's configuration, JSON.")
    ] = None,
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="Default: in the data folder.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last whole checkpoint.")] = False,
    preset: Annotated[
        str, typer.Option("--preset", metavar="NAME", help="A recipe that comes with the program.")
    ] = "",
    root: Annotated[
        list[Path] | None,
        typer.Option("--root", metavar="DIR", help="A preset's data; once for each of its data sets."),
    ] = None,
    id: Annotated[str, typer.Option("--id", metavar="ID", help="A preset's run; default: its name.")] = "",
    presets: Annotated[bool, typer.Option("--presets", help="List the presets, and stop.")] = False,
    find_rate: Annotated[
        bool, typer.Option("--find-rate", help="Suggest a learning rate, and train nothing.")
    ] = False,
) -> None:
    """Train a model, here and now."""
    with answering(False):
        from cxrviewer.cli import recipes
        from cxrviewer.settings import get_settings

        if presets:
            recipes.list_presets()
            return
        if get_settings().device == "cpu":
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # before torch looks for GPUs
        with recipes.chosen(config, preset, root or [], id) as recipe:
            if find_rate:
                recipes.find_rate(recipe, run_dir)
                return
            from cxrviewer.training.commands import train

            with progress("Training") as tell:
                bundle = train(recipe, run_dir, resume, lambda share, _words: tell(share))
        report_after(bundle.parent.parent)
        say(str(bundle))


@runs.command("list")
def list_(as_json: AsJson = False) -> None:
    """Every run in the data folder, the newest first."""
    with answering(as_json):
        from cxrviewer.settings import get_settings
        from cxrviewer.training.run_listing import list_runs

        _tick()
        for status in list_runs(get_settings().runs_dir):
            _print(status, as_json)


@runs.command()
def show(run: RunId, as_json: AsJson = False) -> None:
    """One run: its state and pace, the last line of its metrics, and the end of its log."""
    with answering(as_json):
        from cxrviewer.training.run_listing import last_metrics, log_tail

        _tick()
        status = find_run(run)
        metrics, log = last_metrics(status.path), log_tail(status.path)
        if as_json:
            say_json({**status.as_json(), "metrics": metrics, "log": log})
            return
        _print(status, False)
        for line in (
            pace_of(status),
            ", ".join(f"{name} {value}" for name, value in metrics.items() if value),
            *log,
        ):
            if line:
                say(f"  {line}")


@runs.command()
def start(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The run's configuration, JSON.")],
    id: Annotated[str, typer.Option("--id", metavar="ID", help="Another id than the file's.")] = "",
    device: Annotated[
        str, typer.Option("--device", metavar="DEVICE", help="cpu or cuda:N; default: as the settings say.")
    ] = "",
) -> None:
    """Start a run in the background, or queue it while another one is at work on the device."""
    with answering(False):
        from cxrviewer.settings import get_settings
        from cxrviewer.training.config import load_config
        from cxrviewer.training.runs import submit, with_id

        wanted = load_config(config)
        status = submit(with_id(wanted, id) if id else wanted, get_settings().runs_dir, device or None)
        _print(status, False)


@runs.command()
def cancel(
    run: RunId,
    hard: Annotated[
        bool, typer.Option("--hard", help="End its process within seconds, whatever it is doing.")
    ] = False,
) -> None:
    """Ask a run to stop after its present step; take a queued one out of the queue."""
    with answering(False):
        from cxrviewer.training.runs import cancel

        status = cancel(find_run(run).path, hard)
        say(f"{run} was asked to stop." if status.at_work else f"{run}: {status.state}.")


@runs.command()
def resume(run: RunId) -> None:
    """Go on with a run in the background after its last whole epoch, with the configuration it was started with."""
    with answering(False):
        from cxrviewer.training.runs import resume

        _print(resume(find_run(run).path), False)


@runs.command()
def delete(run: RunId) -> None:
    """Remove a run with everything in its folder. Not while it is at work; a promoted model stays."""
    with answering(False):
        from cxrviewer.training.runs import delete

        delete(find_run(run).path)
        say(f"{run} is deleted.")


@runs.command()
def clone(
    run: RunId,
    id: Annotated[str, typer.Argument(metavar="ID", help="The new run's id.")],
    begin: Annotated[bool, typer.Option("--start", help="Start it, instead of printing it.")] = False,
) -> None:
    """A run's configuration under a new id, as JSON to be edited, or started as it is."""
    with answering(False):
        from cxrviewer.settings import get_settings
        from cxrviewer.training.runs import clone_config, submit

        config = clone_config(find_run(run).path, id)
        if begin:
            _print(submit(config, get_settings().runs_dir), False)
        else:
            typer.echo(json.dumps(config.model_dump(mode="json"), indent=2))


def _tick() -> None:
    """Whoever looks at the runs also starts those that wait for a device that has become free."""
    from cxrviewer.settings import get_settings
    from cxrviewer.training.runs import tick

    tick(get_settings().runs_dir)


def pace_of(status: RunStatus) -> str:
    """`epoch 2 of 8, 41.5 images a second, 310 s to go, 812 MB on cpu`: what is known of it."""
    if status.state != "running":
        return ""
    parts = (
        (status.epoch, f"epoch {status.epoch} of {status.epochs}"),
        (status.images_per_second, f"{status.images_per_second} images a second"),
        (status.eta_seconds, f"{status.eta_seconds} s to go"),
        (status.memory_bytes, f"{(status.memory_bytes or 0) >> 20} MB on {status.device}"),
    )
    return ", ".join(words for value, words in parts if value is not None)


def _print(status: RunStatus, as_json: bool) -> None:
    if as_json:
        say_json(status.as_json())
    else:
        say(f"{status.id}: {status.state}, {status.progress:.0%}. {status.message}")
