"""What a run begins with: nothing, a checkpoint, or another recipe that is trained first."""

from __future__ import annotations

from pathlib import Path

from cxrviewer.classifiers.registry import find
from cxrviewer.errors import ConfigurationError
from cxrviewer.settings import get_settings
from cxrviewer.training.config import TrainingConfig, load_config
from cxrviewer.training.fit import fit, is_finished
from cxrviewer.training.reporter import Tell
from cxrviewer.training.run_folder import RunFolder
from cxrviewer.training.run_listing import read_status


def beginning(config: TrainingConfig, run: RunFolder, tell: Tell) -> Path | None:
    """The checkpoint or bundle folder that a run starts from; None for random weights. Raises as `start_of`."""
    return start_of(config, run.path, tell)


def start_of(config: TrainingConfig, place: Path, tell: Tell) -> Path | None:
    """What a run in that folder, which need not exist yet, starts from; None for random weights.

    A bundle is named by its folder, or by its id where it lies in the models folder or in the data folder. A recipe
    (`.json`) has its run folder beside this one, under its own id: a finished one is used as it is, a broken one goes
    on. Of its bundle nothing is made: only its weights are wanted. Raises CxrError.
    """
    if not config.start:
        return None
    path = Path(config.start)
    if path.suffix == ".ckpt" or path.is_dir():
        return path
    if path.suffix != ".json":
        return find(config.start, get_settings())
    earlier = load_config(path)
    folder = place.parent / earlier.id
    if folder == place:
        raise ConfigurationError("The recipe starts from itself.", "Name another recipe under start.")
    working = read_status(folder)
    if working is not None and (working.at_work or working.state == "queued"):
        raise ConfigurationError(
            f"The run {earlier.id} that this one starts from is {working.state} itself.",
            "Wait until it is finished, then start this one.",
        )
    first = RunFolder(folder)
    begun = folder / "config.json"
    if begun.is_file() and load_config(begun) != earlier:
        raise ConfigurationError(
            f"The run {earlier.id} that this one starts from was made by another configuration.",
            "Give one of the two recipes another id, or move the older run away.",
        )
    if not is_finished(first.checkpoint, earlier):
        first.write_config(earlier)
        resume = first.checkpoint.is_file()
        fit(
            earlier,
            first,
            resume,
            lambda share, words: tell(0.0, f"{earlier.id} first, {share:.0%}: {words}"),
            None if resume else beginning(earlier, first, tell),
        )
    return first.checkpoint
