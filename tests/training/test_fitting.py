"""A whole run in seconds: it finishes, learns, resumes to the same weights, and its checkpoint holds no code."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cxrviewer.errors import CancelledError, ConfigurationError, SplitError, UnreadableError
from cxrviewer.training.beginning import beginning
from cxrviewer.training.checkpoint_names import epochs_of
from cxrviewer.training.config import Source, Stage, TrainingConfig
from cxrviewer.training.fit import fit, load_state
from cxrviewer.training.run_folder import RunFolder

Build = Callable[..., TrainingConfig]


def read_metrics(run: RunFolder) -> list[dict[str, str]]:
    with (run.path / "metrics.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_run_finishes_and_learns(tiny_config: Build, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    told: list[float] = []
    checkpoint = fit(
        tiny_config(stages=(Stage(size=32, epochs=8),)), run, tell=lambda done, _: told.append(done)
    )
    rows = read_metrics(run)
    assert [row["epoch"] for row in rows] == [str(n) for n in range(8)]
    # A bright patch on noise is easy: a run that learns nothing stays near 0.5.
    assert float(rows[-1]["tune_pneumonia_auroc"]) > 0.9
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert told == sorted(told) and told[-1] == 1.0
    assert checkpoint.is_file()


def test_a_checkpoint_holds_tensors_and_plain_values_only(tiny_config: Build, tmp_path: Path) -> None:
    checkpoint = fit(tiny_config(stages=(Stage(size=32, epochs=1),)), RunFolder(tmp_path / "run"))
    content = torch.load(checkpoint, "cpu", weights_only=True)
    assert {"state_dict", "optimizer_states", "current_model_state"} <= content.keys()


class _StopAfter(Exception):
    pass


@pytest.mark.parametrize("steps", [1, 13])
def test_a_resumed_run_ends_with_the_same_weights(tiny_config: Build, tmp_path: Path, steps: int) -> None:
    """Broken off inside an epoch, and taken up from the last whole one; the picture size grows on the way."""
    config = tiny_config(stages=(Stage(size=32, epochs=2), Stage(size=48, epochs=2)), mask_weight=0.3)
    unbroken = load_state(fit(config, RunFolder(tmp_path / "unbroken")))
    broken = RunFolder(tmp_path / "broken")
    left = steps

    def stop(done: float, words: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise _StopAfter

    with pytest.raises(_StopAfter):
        fit(config, broken, tell=stop)
    torch.rand(7)  # another process would have another generator state
    resumed = load_state(fit(config, broken, resume=True))
    assert resumed.keys() == unbroken.keys()
    for name, tensor in unbroken.items():
        assert torch.equal(tensor, resumed[name]), name
    assert [row["epoch"] for row in read_metrics(broken)] == ["0", "1", "2", "3"]


def test_a_cancel_is_obeyed_within_the_epoch(tiny_config: Build, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(CancelledError):
        fit(tiny_config(), run, tell=lambda done, words: run.request_cancel())
    assert not run.checkpoint.exists()


def test_lightning_stays_quiet(tiny_config: Build, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fit(tiny_config(stages=(Stage(size=32, epochs=1),)), RunFolder(tmp_path / "run"))
    assert capfd.readouterr() == ("", "")


def test_resuming_refuses_data_that_changed(tiny_config: Build, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    config = tiny_config(stages=(Stage(size=32, epochs=1),))
    fit(config, run)
    split = run.path / "split.csv"
    split.write_text("".join(split.read_text("utf-8").splitlines(True)[:-2]), "utf-8")
    with pytest.raises(SplitError, match="2 of 80 pictures are new"):
        fit(config, run, resume=True)


def test_a_batch_larger_than_the_train_part_is_refused(tiny_config: Build, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="less than one batch of 500"):
        fit(tiny_config(batch_size=500), RunFolder(tmp_path / "run"))


def test_a_loss_that_is_no_number_stops_the_run(tiny_config: Build, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    with pytest.raises(ConfigurationError, match="no number any more"):
        fit(tiny_config(learning_rate=1e30, weight_decay=0), run)


def test_a_run_can_start_from_another_ones_weights(tiny_config: Build, tmp_path: Path) -> None:
    first = fit(tiny_config(stages=(Stage(size=32, epochs=2),)), RunFolder(tmp_path / "first"))
    config = tiny_config(learning_rate=1e-12, weight_decay=0, stages=(Stage(size=32, epochs=1),))
    second = load_state(fit(config, RunFolder(tmp_path / "second"), start=first))
    for name, tensor in load_state(first).items():
        if name.startswith("classifier.heads"):
            torch.testing.assert_close(second[name], tensor, atol=1e-6, rtol=0)


def test_starting_from_another_network_is_refused(tiny_config: Build, tmp_path: Path) -> None:
    first = fit(tiny_config(stages=(Stage(size=32, epochs=1),)), RunFolder(tmp_path / "first"))
    with pytest.raises(ConfigurationError, match="another network"):
        fit(
            tiny_config(backbone="resnet18"),
            RunFolder(tmp_path / "second"),
            start=first,
        )


def test_weights_that_have_seen_what_judges_them_are_refused(tiny_config: Build, tmp_path: Path) -> None:
    first = fit(tiny_config(stages=(Stage(size=32, epochs=1),)), RunFolder(tmp_path / "first"))
    with pytest.raises(SplitError, match=r"have learnt \d+ pictures of this run's tune and report"):
        fit(tiny_config(split_seed=2), RunFolder(tmp_path / "second"), start=first)


def test_a_recipe_to_start_from_is_trained_once(tiny_config: Build, tmp_path: Path) -> None:
    """The first run is broken off, then finished by the second's wish, and left alone from then on."""
    stages = (Stage(size=32, epochs=2),)
    recipe = tmp_path / "first.json"
    recipe.write_text(tiny_config(id="first", stages=stages).model_dump_json())
    wanted = tiny_config(id="second", start=str(recipe))
    told: list[str] = []

    def break_off(share: float, words: str) -> None:
        told.append(words)
        if share > 0.5:
            raise _StopAfter

    with pytest.raises(_StopAfter):
        fit(tiny_config(id="first", stages=stages), RunFolder(tmp_path / "first"), tell=break_off)
    assert epochs_of(RunFolder(tmp_path / "first").checkpoint) == 1
    run = RunFolder(tmp_path / "second")
    found = beginning(wanted, run, lambda _, words: told.append(words))
    assert found == RunFolder(tmp_path / "first").checkpoint and epochs_of(found) == 2
    assert "first first" in told[-1]
    made = found.stat().st_mtime_ns
    assert beginning(wanted, run, lambda _, words: pytest.fail(words)) == found
    assert found.stat().st_mtime_ns == made


def test_what_a_run_starts_from_is_checked(tiny_config: Build, tmp_path: Path) -> None:
    run, recipe = RunFolder(tmp_path / "run"), tmp_path / "first.json"
    assert beginning(tiny_config(), run, lambda *_: None) is None
    assert beginning(tiny_config(start="a.ckpt"), run, lambda *_: None) == Path("a.ckpt")
    recipe.write_text(tiny_config(id="run").model_dump_json())
    with pytest.raises(ConfigurationError, match="starts from itself"):
        beginning(tiny_config(id="run", start=str(recipe)), run, lambda *_: None)
    recipe.write_text(tiny_config(id="first").model_dump_json())
    RunFolder(tmp_path / "first").status("running", 0.5)
    with pytest.raises(ConfigurationError, match="first that this one starts from is running itself"):
        beginning(tiny_config(start=str(recipe)), run, lambda *_: None)
    RunFolder(tmp_path / "first").status("cancelled", 0.5)
    RunFolder(tmp_path / "first").write_config(tiny_config(id="first", seed=9))
    with pytest.raises(ConfigurationError, match="another configuration"):
        beginning(tiny_config(start=str(recipe)), run, lambda *_: None)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "last.ckpt").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(UnreadableError, match="damaged"):
        load_state(tmp_path / "last.ckpt")


def test_draws_decide_how_long_an_epoch_is(tiny_config: Build, tmp_path: Path, kermany_folder: Path) -> None:
    source = Source(name="kermany", root=str(kermany_folder), draws=16, tune=0.2, report=0.2)
    told: list[float] = []
    fit(tiny_config(sources=(source,), stages=(Stage(size=32, epochs=3),)), RunFolder(tmp_path / "run"),
        tell=lambda done, _: told.append(done))  # fmt: skip
    assert len(told) == 3 * 2


def test_the_status_is_whole_at_every_moment(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    run.status("running", 0.25, "epoch 1 of 4")
    status = json.loads((run.path / "status.json").read_text("utf-8"))
    assert (status["state"], status["progress"], status["message"]) == ("running", 0.25, "epoch 1 of 4")
    before = (run.path / "status.json").stat().st_ino
    run.status("finished", 1.0)
    # Another file under the same name: replaced by rename, never written in place.
    assert (run.path / "status.json").stat().st_ino != before
    assert not (run.path / "status.json.new").exists()
