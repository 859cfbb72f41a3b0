"""`python -m cxrviewer ...`: everything that a screen does, without a browser.

Exit status 0: all inputs answered; 1: at least one failed, the others are done and printed; 2: wrong usage.
Heavy libraries are imported inside the commands, so that `--help` is quick.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from cxrviewer import __version__
from cxrviewer.cli import caching, measuring, models, results, training
from cxrviewer.cli.explaining import explain
from cxrviewer.cli.predicting import predict

app = typer.Typer(
    name="cxrviewer",
    add_completion=False,
    no_args_is_help=True,
    # Local variables in a traceback would be patient data on a terminal; markup would let a name style itself.
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Open a chest radiograph, get a second opinion, and see how far to believe it. Research and teaching only.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _about(
    _version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Open a chest radiograph, get a second opinion, and see how far to believe it."""


app.command()(predict)
app.command()(explain)
app.command()(measuring.evaluate)
app.command()(training.train)
results.add_to(training.runs, models.app)
measuring.datasets.command()(caching.cache)
app.add_typer(training.runs, name="runs")
app.add_typer(models.app, name="models")
app.add_typer(measuring.datasets, name="datasets")


def main() -> None:
    """Run the command that the arguments name, and exit with its status."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal's encoding cannot write must not end the program.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="python -m cxrviewer")
