"""The configuration as JSON: it comes back the same, and wrong values are answered in sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxrviewer.errors import ConfigurationError, NotFoundError
from cxrviewer.labels import PNEUMONIA, Head
from cxrviewer.training.config import HeadChoice, Source, Stage, TrainingConfig, load_config
from cxrviewer.training.material import architecture_of
from cxrviewer.training.run_folder import RunFolder

SOURCE = Source(name="nih", root="/data/nih")


def test_it_reads_back_the_same(tmp_path: Path) -> None:
    config = TrainingConfig(
        id="a-1", sources=(SOURCE, Source(name="nlm", root="x", draws=7)), stages=(Stage(size=96, epochs=3), Stage()),
        auxiliary=("bacterial",), learning_rate=3e-4,
    )  # fmt: skip
    RunFolder(tmp_path).write_config(config)
    assert load_config(tmp_path / "config.json") == config


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"sources": []}, "sources: "),
        ({"stages": [{"size": 16}]}, r"stages\.0\.size: .*greater than or equal to 32"),
        ({"learning_rate": -1}, "learning_rate: .*greater than 0"),
        ({"id": "../up"}, "id: "),
        ({"learningrate": 1}, "learningrate: Extra inputs"),
        ({"precision": "8-bit"}, "precision: "),
    ],
)
def test_wrong_values_are_named(tmp_path: Path, change: dict[str, object], sentence: str) -> None:
    values = {"id": "a", "sources": [{"name": "nih", "root": "/data/nih"}]} | change
    (tmp_path / "c.json").write_text(json.dumps(values), "utf-8")
    with pytest.raises(ConfigurationError, match=sentence):
        load_config(tmp_path / "c.json")


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text("id = 3", "utf-8")
    with pytest.raises(ConfigurationError, match="file: "):
        load_config(tmp_path / "c.json")
    with pytest.raises(NotFoundError, match="does not exist"):
        load_config(tmp_path / "none.json")


@given(
    st.lists(
        st.builds(Stage, size=st.sampled_from([96, 128, 224]), epochs=st.integers(1, 4)),
        min_size=1,
        max_size=4,
    )
)
def test_sizes_follow_the_stages(stages: list[Stage]) -> None:
    config = TrainingConfig(id="a", sources=(SOURCE,), stages=tuple(stages))
    by_hand = [stage.size for stage in stages for _ in range(stage.epochs)]
    assert [config.size_at(epoch) for epoch in range(config.epochs)] == by_hand
    # Past the end it is what the finished network serves at.
    assert config.size_at(config.epochs + 3) == config.size == by_hand[-1]


def with_findings(labels: str | tuple[str, ...]) -> tuple[HeadChoice, ...]:
    return (
        HeadChoice(name=Head.PNEUMONIA, labels=(PNEUMONIA,)),
        HeadChoice(name=Head.FINDINGS, labels=labels),
    )


def test_the_network_carries_its_vocabulary() -> None:
    config = TrainingConfig(
        id="a", sources=(SOURCE,), heads=with_findings("chexpert-14"), stages=(Stage(size=160, epochs=1),)
    )
    network = architecture_of(config)
    assert network.input.size == 160
    assert [target.name for target in network.targets][:3] == [
        "pneumonia",
        "No Finding",
        "Enlarged Cardiomediastinum",
    ]
    with pytest.raises(ConfigurationError, match="nih-14, chexpert-14"):
        architecture_of(config.model_copy(update={"heads": with_findings("snomed")}))
    own = architecture_of(config.model_copy(update={"heads": with_findings(("Rib", "Clip"))}))
    assert [target.name for target in own.targets] == ["pneumonia", "Rib", "Clip"]
