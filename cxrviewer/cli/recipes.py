"""What `train` is told to do: a recipe's file or a preset, and the learning-rate finder's answer."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from cxrviewer.cli.output import check_output, progress, say
from cxrviewer.errors import ConfigurationError


def list_presets() -> None:
    """Every preset: its name, title, data sets, what it repeats, published figures, and what differs."""
    from cxrviewer.training.presets import PRESETS

    for name, preset in PRESETS.items():
        say(f"{name}: {preset.title}")
        say(f"- data: {', then '.join(preset.datasets)}")
        for what, text in (
            ("repeats", preset.repeats),
            ("published", preset.published),
            ("differs", preset.differs),
        ):
            if text:
                say(f"- {what}: {text}")


@contextmanager
def chosen(config: Path | None, preset: str, roots: Sequence[Path], id: str) -> Iterator[Path]:
    """The recipe's file; a preset's is written for the while. Raises ConfigurationError or NotFoundError."""
    if (config is None) == (not preset):
        raise ConfigurationError(
            "Name a recipe: --config FILE, or --preset NAME with --root DIR; one of the two.",
            "--presets lists the presets.",
        )
    if config is not None:
        if roots or id:
            raise ConfigurationError(
                "--root and --id go with --preset.", "A recipe's file names its folders and its id itself."
            )
        yield config
        return
    from cxrviewer.training.presets import preset as find

    recipe = find(preset).config(id or preset, [root.absolute() for root in roots])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / f"{recipe.id}.json"
        file.write_text(recipe.model_dump_json(indent=2) + "\n", encoding="utf-8")
        yield file


def find_rate(recipe: Path, folder: Path | None) -> None:
    """Print the suggestion, and leave `rate.json` and `rate.html` behind. Raises CxrError.

    folder: default `<data folder>/rates/<id>`, since a folder among the runs would be taken for one.
    """
    from cxrviewer.reporting.rate import rate_figure, write_rate
    from cxrviewer.settings import get_settings
    from cxrviewer.training import rate_finder
    from cxrviewer.training.beginning import start_of
    from cxrviewer.training.config import load_config

    config, settings = load_config(recipe), get_settings()
    folder = folder or settings.data_dir / "rates" / config.id
    check_output(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with progress("Trying learning rates") as tell:
        start = start_of(config, settings.runs_dir / config.id, lambda _share, _words: None)
        found = rate_finder.find_rate(config, folder, start, lambda share, _words: tell(share))
    (folder / "rate.json").write_text(json.dumps(found.as_json()), encoding="utf-8")
    figure = rate_figure(found.rates, found.losses, found.smoothed, found.suggestion)
    write_rate(figure, folder / "rate.html")
    if found.suggestion is None:
        say("No rate is suggested: the loss never falls along the sweep. rate.html shows it.")
    else:
        say(f"{found.suggestion:.1e}")
