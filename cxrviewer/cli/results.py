"""What follows a finished run: its report, the check of its maps, its promotion, and the way back."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cxrviewer.cli.output import answering, note, progress, say, say_json
from cxrviewer.cli.predicting import AsJson
from cxrviewer.errors import ConfigurationError, CxrError, NotFoundError

if TYPE_CHECKING:
    from cxrviewer.training.comparing import Comparison
    from cxrviewer.training.run_listing import RunStatus

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run's id.")]

REPORTS = ("report.html", "report.pdf")


def add_to(runs: typer.Typer, models: typer.Typer) -> None:
    """Put these commands beside those that begin and watch runs."""
    runs.command()(report)
    runs.command("explain-check")(explain_check)
    runs.command()(promote)
    models.command()(undo)


def report(run: RunId) -> None:
    """Write a finished run's report into it, as a page and as a PDF."""
    with answering(False):
        for path in write_reports(finished(run)):
            say(str(path))


def write_reports(run: Path) -> tuple[Path, ...]:
    """`report.html` and `report.pdf` in the run's folder. Raises CxrError."""
    from cxrviewer.reporting.html_report import write_html
    from cxrviewer.reporting.pdf_report import write_pdf
    from cxrviewer.reporting.run_report import read_report

    found = read_report(run)
    page, paper = (run / name for name in REPORTS)
    write_html(found, page)
    write_pdf(found, paper)
    return page, paper


def report_after(run: Path) -> None:
    """The same at a run's end, where a fault in drawing must not make a trained model look failed."""
    try:
        write_reports(run)
    except (CxrError, OSError) as error:
        note(f"The report was not written: {error if isinstance(error, CxrError) else type(error).__name__}")


def explain_check(
    run: RunId,
    sample: Annotated[
        int, typer.Option("--sample", min=0, help="Areas that the slow methods are asked about.")
    ] = 20,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Which areas those are.")] = 0,
) -> None:
    """Do the maps point at what readers marked? On boxes held back from training; written into the run."""
    with answering(False):
        from cxrviewer.cli.explanation_check import check_maps

        folder = finished(run)
        with progress("Explaining") as tell:
            found = check_maps(folder, sample, seed, tell)
        for name, measured in found["methods"].items():
            say(
                f"{name}: peak inside {measured['pointing']:.2f}, share inside {measured['energy']:.2f}, "
                f"overlap {measured['iou']:.2f}, of {measured['n']} areas"
            )
        report_after(folder)


def promote(
    run: RunId,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare a run's model with the serving one on the same pictures; then, if you say so, let it serve."""
    with answering(as_json):
        from cxrviewer.training.comparing import compare_with_serving
        from cxrviewer.training.promoting import promote

        folder = finished(run)
        with progress("Comparing") as tell:
            found = compare_with_serving(folder, tell)
        if as_json:
            say_json(found.as_json())
        else:
            print_comparison(found)
        if not (yes or typer.confirm("Let the new model serve?", err=True)):
            note("Nothing was changed.")
            return
        model = promote(folder)
        note(f"{model} serves from now on. The way back: python -m cxrviewer models undo")


def print_comparison(found: Comparison) -> None:
    """A line a label: the new model, the serving one, and their difference."""
    for words in found.notes:
        say(words)
    for part in found.parts:
        means = ", ".join(
            f"{name} {mean:.3f}"
            for name, mean in ((found.new_model, part.new), (found.serving_model, part.serving))
            if mean is not None
        )
        say(
            f"{part.dataset}, {part.n_images} pictures of {part.n_patients} people. Mean AUROC: {means or 'none'}"
        )
        for row in part.labels:
            ends = row.difference_ci95
            between = f" ({ends.low:+.3f} to {ends.high:+.3f})" if ends else ""
            say(f"  {row.label}: {row.new:.3f} / {row.serving:.3f}, {row.difference:+.3f}{between}")


def undo() -> None:
    """Let the model serve again that served before the last `use` or `promote`."""
    with answering(False):
        from cxrviewer.classifiers.registry import serving_id, undo
        from cxrviewer.settings import get_settings

        undo()
        say(f"{serving_id(get_settings()) or 'No model'} serves from now on.")


def finished(run: str) -> Path:
    """The folder of a finished run. Raises NotFoundError or ConfigurationError."""
    status = find_run(run)
    if status.state != "finished":
        raise ConfigurationError(f"The run is {status.state}, not finished.", "Let it finish first.")
    return status.path


def find_run(run: str) -> RunStatus:
    """A run by its id. Raises NotFoundError."""
    from cxrviewer.settings import get_settings
    from cxrviewer.training.run_listing import list_runs

    # Looked up among those there are: no path is made from what was typed.
    for status in list_runs(get_settings().runs_dir):
        if status.id == run:
            return status
    raise NotFoundError(
        "There is no run of that id.", "`python -m cxrviewer runs list` shows those there are."
    )
