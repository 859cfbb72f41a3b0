"""How long a run may take: the arithmetic by hand, the measurement on a tiny network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cxrviewer.errors import CancelledError, ConfigurationError
from cxrviewer.training.config import Source, Stage
from cxrviewer.training.estimating import BESIDES, Pace, pictures_of, probe, seconds_of


def test_seconds_are_the_steps_of_every_stage(tiny_config: Any) -> None:
    config = tiny_config(stages=(Stage(size=32, epochs=3), Stage(size=64, epochs=2)))
    pace = Pace({32: 0.01, 64: 0.04}, 0, "CPU")
    assert seconds_of(config, pace, 100) == pytest.approx(BESIDES * (3 * 100 * 0.01 + 2 * 100 * 0.04))


def test_an_epoch_draws_what_a_source_says_or_all_of_it(tiny_config: Any, kermany_folder: Path) -> None:
    root = str(kermany_folder)
    sources = (Source(name="kermany", root=root, draws=70), Source(name="nih", root=root))
    config = tiny_config(sources=sources)
    assert pictures_of(config, (1000, 40)) == 110
    assert pictures_of(config, (0, 40)) == 40, "nothing is drawn from a source without a train part"


def test_a_few_steps_are_timed_in_a_process_of_their_own(tiny_config: Any) -> None:
    pace = probe(tiny_config(stages=(Stage(size=32, epochs=1), Stage(size=64, epochs=1))))
    assert set(pace.seconds) == {32, 64}
    assert 0 < pace.seconds[32] < 1 and pace.memory > 50 * 2**20


def test_a_network_that_cannot_be_built_is_said_and_a_stop_is_heard(tiny_config: Any) -> None:
    with pytest.raises(ConfigurationError, match="no backbone called nothing"):
        probe(tiny_config().model_copy(update={"backbone": "nothing"}))
    with pytest.raises(CancelledError):
        probe(tiny_config(), cancelled=lambda: True)
