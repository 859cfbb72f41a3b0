"""`train` and `runs`: one training run in the foreground, and the run folders there are."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxrviewer.cli.output import answering, progress, say, say_json
from cxrviewer.cli.predicting import AsJson
from cxrviewer.errors import ConfigurationError, NotFoundError

if TYPE_CHECKING:
    from cxrviewer.training.run_listing import RunStatus

runs = typer.Typer(
    no_args_is_help=True, help="Training runs: list, show, cancel, resume.", rich_markup_mode=None
)

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id.")]


def train(
    config: Annotated[Path, typer.Option("--config", metavar="FILE", help="The run's configuration, JSON.")],
    run_dir: Annotated[
        Path | None, typer.Option("--run-dir", metavar="DIR", help="Default: in the data folder.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on after the last whole checkpoint.")] = False,
) -> None:
    """Train a model, here and now."""
    with answering(False):
        from cxrviewer.training.commands import train

        with progress("Training") as tell:
            bundle = train(config, run_dir, resume, lambda share, _words: tell(share))
        say(str(bundle))


@runs.command("list")
def list_(as_json: AsJson = False) -> None:
    """Every run in the data folder, the newest first."""
    with answering(as_json):
        from cxrviewer.settings import get_settings
        from cxrviewer.training.run_listing import list_runs

        for status in list_runs(get_settings().runs_dir):
            _print(status, as_json)


@runs.command()
def show(run: RunId, as_json: AsJson = False) -> None:
    """One run: its state, and the last line of its metrics."""
    with answering(as_json):
        from cxrviewer.training.run_listing import last_metrics

        status = _find(run)
        metrics = last_metrics(status.path)
        if as_json:
            say_json({**status.as_json(), "metrics": metrics})
            return
        _print(status, False)
        say("  " + ", ".join(f"{name} {value}" for name, value in metrics.items()))


@runs.command()
def cancel(run: RunId) -> None:
    """Ask a run to stop after its present step."""
    with answering(False):
        from cxrviewer.training.run_folder import RunFolder

        RunFolder(_find(run).path).request_cancel()
        say(f"{run} was asked to stop.")


@runs.command()
def resume(run: RunId) -> None:
    """Go on with a run after its last whole epoch, here and now, with the configuration it was started with."""
    with answering(False):
        from cxrviewer.training.commands import train

        found = _find(run)
        if found.state in ("queued", "running"):
            raise ConfigurationError(
                "The run is still at work.", f"Wait, or ask it to stop: runs cancel {run}"
            )
        with progress("Training") as tell:
            bundle = train(found.path / "config.json", found.path, True, lambda share, _words: tell(share))
        say(str(bundle))


@runs.command()
def start() -> None:
    """Not here yet: a run in the background. `train --config FILE` runs one in the foreground."""
    with answering(False):
        raise ConfigurationError(
            "Runs are not started in the background yet.",
            "`python -m cxrviewer train --config FILE` runs one in the foreground.",
        )


@runs.command()
def promote(run: RunId) -> None:
    """Not here yet: to make a run's bundle the serving model. `models use` does it once the bundle is in models."""
    with answering(False):
        found = _find(run)
        raise ConfigurationError(
            "A run is not promoted by a command yet.",
            f"Copy the folder inside {found.path / 'bundle'} into the data folder's models, then "
            "`python -m cxrviewer models use ID`.",
        )


def _find(run: str) -> RunStatus:
    from cxrviewer.settings import get_settings
    from cxrviewer.training.run_listing import list_runs

    # Looked up among those there are: no path is made from what was typed.
    for status in list_runs(get_settings().runs_dir):
        if status.id == run:
            return status
    raise NotFoundError(
        "There is no run of that id.", "`python -m cxrviewer runs list` shows those there are."
    )


def _print(status: RunStatus, as_json: bool) -> None:
    if as_json:
        say_json(status.as_json())
    else:
        say(f"{status.id}: {status.state}, {status.progress:.0%}. {status.message}")
