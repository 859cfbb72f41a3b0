"""A bundle comes back as it went in, or is refused with a sentence (G14)."""

from __future__ import annotations

import hashlib
import io
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from support.small_models import SIZE, save_small, small_card, small_network

from cxrviewer.classifiers import bundle as bundles
from cxrviewer.classifiers.bundle import WEIGHTS, open_bundle, pack, save_bundle
from cxrviewer.classifiers.card import CARD, MAX_CARD_BYTES, read_card
from cxrviewer.classifiers.scope import ScopeNet
from cxrviewer.errors import ModelBundleError

Tensors = dict[str, torch.Tensor]
FIRST = "backbone.conv0.weight"
HEAD = "heads.findings.weight"


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_small(tmp_path)


def rewrite(folder: Path, data: bytes) -> None:
    """Exchange the weights, and let the card vouch for them: so the checks behind the hash are reached."""
    (folder / WEIGHTS).write_bytes(data)
    card = json.loads((folder / CARD).read_text())
    card["weights_sha256"] = hashlib.sha256(data).hexdigest()
    (folder / CARD).write_text(json.dumps(card))


def edit_card(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    card = json.loads((folder / CARD).read_text())
    change(card)
    (folder / CARD).write_text(json.dumps(card))


def refused(folder: Path, words: str) -> ModelBundleError:
    """Refused with a message of whole sentences and a remedy."""
    with pytest.raises(ModelBundleError, match=words) as caught:
        open_bundle(folder)
    assert caught.value.kind == "no-model"
    assert caught.value.message.endswith(".") and caught.value.remedy.endswith(".")
    assert len(caught.value.message) < 400 and str(folder.parent) not in caught.value.message
    return caught.value


def test_a_bundle_comes_back(saved: Path) -> None:
    network, opened = small_network(), open_bundle(saved)
    again = opened.classifier()
    given = torch.randn(4, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        wanted, found = network(given).sigmoid(), again(given).sigmoid()
    assert (wanted - found).abs().max() < 1e-2
    assert again.targets == network.targets
    assert not again.training
    assert opened.card == small_card().model_copy(update={"weights_sha256": opened.card.weights_sha256})
    assert opened.path == saved and saved.name == "small-1"


def test_the_norms_are_kept_whole() -> None:
    """Half precision would cost most where a variance is small; they weigh next to nothing."""
    network = small_network()
    stored = load(pack(network))
    assert stored[FIRST].dtype == stored[HEAD].dtype == torch.float16
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            assert name not in stored
        elif tensor.ndim == 1:
            assert stored[name].dtype == torch.float32
            assert torch.equal(stored[name], tensor)
        else:
            assert torch.allclose(stored[name].float(), tensor, rtol=1e-3, atol=1e-6)


def test_packing_leaves_the_network_as_it_was() -> None:
    network = small_network()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    pack(network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert network.get_parameter(HEAD).dtype == torch.float32


def test_the_scope_network_travels_along(tmp_path: Path) -> None:
    torch.manual_seed(1)
    scope = {k: v for k, v in ScopeNet().state_dict().items() if not k.endswith("num_batches_tracked")}
    opened = open_bundle(save_small(tmp_path, scope_tensors=scope))
    assert opened.scope_tensors().keys() == scope.keys()
    assert all(torch.equal(opened.scope_tensors()[name], tensor) for name, tensor in scope.items())
    assert opened.classifier().targets


def test_an_older_bundle_is_replaced_whole(saved: Path) -> None:
    (saved / "leftover.txt").write_text("from the older one")
    before = open_bundle(saved).card.weights_sha256
    assert save_small(saved.parent, seed=1) == saved
    assert open_bundle(saved).card.weights_sha256 != before
    assert sorted(file.name for file in saved.iterdir()) == [CARD, WEIGHTS]
    assert [folder.name for folder in saved.parent.iterdir()] == ["small-1"]


def test_what_a_crash_left_behind_is_no_obstacle(saved: Path) -> None:
    """A crash between the renames and the clearing up leaves the older bundle beside the newer one."""
    left = saved.parent / ".old-small-1"
    left.mkdir()
    (left / WEIGHTS).write_bytes(b"older still")
    save_small(saved.parent, seed=1)
    assert [folder.name for folder in saved.parent.iterdir()] == ["small-1"]


def test_a_failed_write_leaves_the_older_bundle(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (saved / WEIGHTS).read_bytes()

    def full(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundles, "_write", full)
    with pytest.raises(OSError, match="No space"):
        save_small(saved.parent, seed=1)
    assert (saved / WEIGHTS).read_bytes() == before
    assert [folder.name for folder in saved.parent.iterdir()] == ["small-1"]


def test_a_failed_rename_puts_the_older_bundle_back(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, rename = (saved / WEIGHTS).read_bytes(), Path.rename

    def fails(path: Path, target: Path) -> Path:
        if path.name.startswith(".new-"):
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(OSError, match="Input/output"):
        save_small(saved.parent, seed=1)
    assert (saved / WEIGHTS).read_bytes() == before
    assert [folder.name for folder in saved.parent.iterdir()] == ["small-1"]


# -- hostile and damaged weights -------------------------------------------------------------------


def _nan(tensors: Tensors) -> None:
    tensors[HEAD][3, 5] = float("nan")


def _infinite(tensors: Tensors) -> None:
    tensors["backbone.norm0.running_var"][0] = float("inf")


def _other_shape(tensors: Tensors) -> None:
    tensors[HEAD] = tensors[HEAD][:13].clone()


def _missing(tensors: Tensors) -> None:
    del tensors[FIRST]


def _extra(tensors: Tensors) -> None:
    tensors["backbone.surplus"] = torch.zeros(1)


def _integers(tensors: Tensors) -> None:
    tensors[FIRST] = tensors[FIRST].to(torch.int32)


def _brain_floats(tensors: Tensors) -> None:
    tensors[FIRST] = tensors[FIRST].to(torch.bfloat16)


def _complex(tensors: Tensors) -> None:
    tensors[FIRST] = tensors[FIRST].to(torch.complex64)


def _nan_scope(tensors: Tensors) -> None:
    tensors["scope.head.bias"] = torch.tensor([float("nan")])


def _integer_scope(tensors: Tensors) -> None:
    tensors["scope.head.bias"] = torch.tensor([1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_nan, r"findings\.weight holds values that are not finite"),
        (_infinite, "running_var holds values that are not finite"),
        (_other_shape, r"findings\.weight has shape \(13, 32\), not \(14, 32\)"),
        (_missing, r"lacks or adds tensors \(backbone\.conv0\.weight\)"),
        (_extra, r"lacks or adds tensors \(backbone\.surplus\)"),
        (_integers, r"is of type torch\.int32"),
        (_brain_floats, r"is of type torch\.bfloat16"),
        (_complex, r"is of type torch\.complex64|damaged"),
        (_nan_scope, r"scope\.head\.bias holds values that are not finite"),
        (_integer_scope, r"scope\.head\.bias is of type torch\.int64"),
    ],
)
def test_wrong_tensors_are_refused(saved: Path, change: Callable[[Tensors], None], words: str) -> None:
    tensors = load((saved / WEIGHTS).read_bytes())
    change(tensors)
    rewrite(saved, save(tensors))
    refused(saved, words)


def _header(text: bytes, rest: bytes = b"") -> bytes:
    return struct.pack("<Q", len(text)) + text + rest


class Bomb:
    """Unpickling it calls a function."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return exec, ("raise SystemExit('unpickled')",)


def _torch_file() -> bytes:
    stream = io.BytesIO()
    torch.save({"state": Bomb()}, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 7,
        b"\xff" * 64,
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**40) + b"{" * 100,
        _header(b"not JSON"),
        _header(b"[1, 2]"),
        _header(b"[" * 100_000),
        _header(b'{"x": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}', b"\0" * 8),
        _header(b'{"x": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}', b"\0" * 4),
        _header(b'{"x": {"dtype": "F32", "shape": [4294967296, 4294967296], "data_offsets": [0, 0]}}'),
        _header(b'{"x": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}', b"\0" * 4),
        _header(b'{"x": {"dtype": "F4", "shape": [2], "data_offsets": [0, 1]}}', b"\0"),
        _header(b'{"x": {"dtype": "F8_E8M0", "shape": [1], "data_offsets": [0, 1]}}', b"\0"),
        _header(b'{"x": {"dtype": "F6_E2M3", "shape": [4], "data_offsets": [0, 3]}}', b"\0" * 3),
        pickle.dumps(Bomb()),
        _torch_file(),
    ],
    ids=lambda data: f"{len(data)} bytes {data[:24]!r}",
)
def test_what_is_no_safetensors_file_is_refused(saved: Path, data: bytes) -> None:
    rewrite(saved, data)
    refused(saved, "small-1")


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.999])
def test_truncated_weights_are_refused(saved: Path, keep: float) -> None:
    whole = (saved / WEIGHTS).read_bytes()
    part = whole[: int(len(whole) * keep)]
    (saved / WEIGHTS).write_bytes(part)
    refused(saved, "hash differs")
    rewrite(saved, part)
    refused(saved, "are damaged")


def test_one_changed_bit_is_refused(saved: Path) -> None:
    data = bytearray((saved / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (saved / WEIGHTS).write_bytes(data)
    refused(saved, "hash differs")


def test_weights_above_the_cap_are_not_read(saved: Path) -> None:
    with (saved / WEIGHTS).open("r+b") as file:
        file.truncate(bundles.MAX_WEIGHTS_BYTES + 1)  # sparse: it takes no room
    refused(saved, "larger than 2 GiB")


def test_absent_weights_are_refused(saved: Path) -> None:
    (saved / WEIGHTS).unlink()
    refused(saved, "cannot be read")


def test_no_pickle_is_ever_opened(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise AssertionError("a pickle was opened")

    for owner, name in ((torch, "load"), (pickle, "load"), (pickle, "loads"), (pickle, "Unpickler")):
        monkeypatch.setattr(owner, name, never)
    open_bundle(saved).classifier()
    for data in (pickle.dumps(Bomb(), 2), _pickled_zip()):
        rewrite(saved, data)
        refused(saved, "are damaged")


def _pickled_zip() -> bytes:
    return b"PK\x03\x04" + b"\0" * 200


# -- cards -------------------------------------------------------------------------------------------


def _drop_target(card: dict[str, Any]) -> None:
    card["targets"].pop()


def _swap_targets(card: dict[str, Any]) -> None:
    card["targets"][1], card["targets"][2] = card["targets"][2], card["targets"][1]


def _rename_target(card: dict[str, Any]) -> None:
    card["targets"][0]["label"] = "Pneumothorax"


def _same_label_twice(card: dict[str, Any]) -> None:
    card["architecture"]["heads"]["findings"][1] = "Atelectasis"
    card["targets"][2]["label"] = "Atelectasis"


def _other_normalisation(card: dict[str, Any]) -> None:
    card["input"]["normalisation"] = "mean 0.485, deviation 0.229"


def _other_resize(card: dict[str, Any]) -> None:
    card["input"]["resize"] = "letterbox"


def _set(*path: Any) -> Callable[[dict[str, Any]], None]:
    *keys, last, value = path

    def change(card: dict[str, Any]) -> None:
        place: Any = card
        for key in keys:
            place = place[key]
        place[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_drop_target, "targets are not the heads' labels in output order"),
        (_swap_targets, "targets are not the heads' labels in output order"),
        (_rename_target, "targets are not the heads' labels in output order"),
        (_same_label_twice, "a label stands twice in a head"),
        (_other_normalisation, "prepared in a way that this program does not know"),
        (_other_resize, "prepared in a way that this program does not know"),
        (_set("targets", 0, "prevalence", 0), r"targets\.0\.prevalence"),
        (_set("targets", 0, "prevalence", 1.0), r"targets\.0\.prevalence"),
        (_set("targets", 0, "slope", -1), r"targets\.0\.slope"),
        (_set("targets", 0, "threshold", 1.5), r"targets\.0\.threshold"),
        (_set("targets", 0, "intercept", float("nan")), r"targets\.0\.intercept|JSON"),
        (_set("input", "size", 100_000), r"input\.size"),
        (_set("architecture", "backbone", "vgg"), "no backbone called vgg"),
        (_set("architecture", "heads", {"mood": ["x"]}), r"architecture\.heads"),
        (_set("task", "generation"), "task"),
        (_set("surprise", 1), "surprise"),
        (_set("id", "../../small-1"), "refused at id"),
        (_set("id", "small-2"), "belongs to another model"),
        (_set("weights_sha256", ""), "hash differs"),
    ],
)
def test_a_wrong_card_is_refused(saved: Path, change: Callable[[dict[str, Any]], None], words: str) -> None:
    edit_card(saved, change)
    refused(saved, words)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"\xff\xfe\x00", b"[" * 200_000, b'{"id": "small-1"}', b"\x80\x04]q\x00."],
    ids=lambda content: repr(content[:12]),
)
def test_what_is_no_card_is_refused(saved: Path, content: bytes) -> None:
    (saved / CARD).write_bytes(content)
    refused(saved, "The card of model small-1 is refused at")


def test_a_card_above_the_cap_is_not_read(saved: Path) -> None:
    (saved / CARD).write_bytes(b" " * (MAX_CARD_BYTES + 1))
    refused(saved, "larger than 2 MiB")


def test_an_absent_card_is_refused(saved: Path) -> None:
    (saved / CARD).unlink()
    refused(saved, r"no readable card\.json")
    refused(saved.parent / "nowhere", r"no readable card\.json")


def test_a_bundle_under_another_name_is_refused(saved: Path) -> None:
    moved = saved.rename(saved.parent / "other")
    assert "Rename the folder" in refused(moved, "belongs to another model").remedy


def test_a_segmentation_bundle_is_checked_for_its_values(tmp_path: Path) -> None:
    """Its keys are its own room's business; a value that is no number is nobody's."""
    card = small_card("lungs", task="segmentation", targets=())
    good = save_bundle(tmp_path, save({"conv.weight": torch.ones(1, 1, 3, 3)}), card)
    assert open_bundle(good).card.task == "segmentation"
    bad = save_bundle(tmp_path, save({"conv.weight": torch.tensor([float("nan")])}), card)
    refused(bad, r"conv\.weight holds values that are not finite")


def test_a_card_is_read_without_its_weights(saved: Path) -> None:
    (saved / WEIGHTS).unlink()
    assert read_card(saved).id == "small-1"


def test_a_card_round_trips_as_json(saved: Path) -> None:
    card = read_card(saved)
    assert type(card).model_validate_json(card.model_dump_json()) == card
    assert card.network() == small_network().architecture
