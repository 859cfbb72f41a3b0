"""How long a run may take and how much memory: a few steps of the real network on made-up pictures, multiplied out.

`python -m cxrviewer.training.estimating` reads a recipe from stdin and writes the pace as JSON. It is a process of its
own, so that its memory can be told apart, and so that running out of it ends nothing else.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cxrviewer.errors import CancelledError, ConfigurationError

if TYPE_CHECKING:
    from cxrviewer.training.config import TrainingConfig

STEPS = 3
"""Steps that are timed, after one that is not."""
BESIDES = 1.25
"""What a run does besides its steps, as a factor: feeding pictures, tune after every epoch, calibrating, measuring."""
VERDICT = (
    f"An estimate: {STEPS} steps of this network on made-up pictures, times the steps of the run, times {BESIDES} for "
    "what is done besides. Other work on this machine makes it longer."
)


@dataclass(frozen=True)
class Pace:
    """seconds: a picture of a training step, by picture size in pixels. memory: bytes at the peak. device: a word."""

    seconds: dict[int, float]
    memory: int
    device: str


def seconds_of(config: TrainingConfig, pace: Pace, drawn: int) -> float:
    """Of the whole run, where an epoch draws so many pictures."""
    steps = sum(stage.epochs * drawn * pace.seconds[stage.size] for stage in config.stages)
    return BESIDES * steps


def pictures_of(config: TrainingConfig, train_parts: Sequence[int]) -> int:
    """Pictures that an epoch draws, from the number of each source's train part."""
    return sum(source.draws or size for source, size in zip(config.sources, train_parts, strict=True) if size)


def probe(config: TrainingConfig, cancelled: Callable[[], bool] = lambda: False) -> Pace:
    """Measure in a process of its own. Raises ConfigurationError where the network cannot be built, CancelledError."""
    import subprocess

    from cxrviewer.training.launcher import environment
    from cxrviewer.training.runs import default_device

    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "cxrviewer.training.estimating"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env=environment(_environment(), default_device()), cwd=Path(__file__).resolve().parents[2],
    )  # fmt: skip
    given: str | None = config.model_dump_json()
    while True:
        try:
            out, _ = process.communicate(given, timeout=0.5)
            break
        except subprocess.TimeoutExpired:
            given = None  # it was taken the first time
            if cancelled():
                process.kill()
                process.communicate()
                raise CancelledError("The measurement was stopped.") from None
    if process.returncode == 0:
        found = json.loads(out)
        return Pace({int(k): v for k, v in found["seconds"].items()}, found["memory"], found["device"])
    told = out.startswith("{")
    words = json.loads(out)["message"] if told else "The network ran out of memory, or could not be built."
    raise ConfigurationError(words, "Choose a smaller batch, smaller pictures or another network.")


def _environment() -> dict[str, str]:
    import os

    return dict(os.environ)


def measure(config: TrainingConfig) -> Pace:
    """Time steps at every picture size of the recipe, here and now."""
    import torch

    from cxrviewer.classifiers.classifier import Classifier
    from cxrviewer.training.material import architecture_of

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    # Weights from elsewhere change no step's length, and fetching them is not what was asked for.
    network = Classifier(architecture_of(config)).to(device)
    network.train()
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-6)
    seconds = {}
    for size in {stage.size for stage in config.stages}:
        pictures = torch.rand(config.batch_size, config.preparation.channels, size, size, device=device)
        begun = 0.0
        for step in range(STEPS + 1):
            if step == 1:
                begun = time.perf_counter()
            optimiser.zero_grad()
            network(pictures).square().mean().backward()
            optimiser.step()
            if device.type == "cuda":
                torch.cuda.synchronize()
        seconds[size] = (time.perf_counter() - begun) / STEPS / config.batch_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    if device.type == "cuda":
        peak = int(torch.cuda.max_memory_reserved())
    return Pace(seconds, peak, "GPU" if device.type == "cuda" else "CPU")


def main() -> int:
    """The process's own part."""
    from pydantic import ValidationError

    from cxrviewer.errors import CxrError
    from cxrviewer.training.config import TrainingConfig, sentences_of

    try:
        pace = measure(TrainingConfig.model_validate_json(sys.stdin.read()))
    except CxrError as error:
        json.dump({"message": error.message}, sys.stdout)
        return 1
    except ValidationError as error:
        json.dump({"message": ". ".join(sentences_of(error)) + "."}, sys.stdout)
        return 1
    json.dump(asdict(pace), sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
