"""Engines: the same answers whichever runs, and however many at once.

That no engine reports home is proved in tests/test_privacy.py.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import openvino
import pytest
import torch
from support.small_models import every_backbone, small_network
from torch import nn
from torch.nn import functional

from cxrviewer.classifiers import openvino_graph
from cxrviewer.classifiers.classifier import Architecture, Classifier
from cxrviewer.classifiers.engines import OpenVinoEngine, TorchEngine, choose_engine
from cxrviewer.classifiers.openvino_graph import openvino_model
from cxrviewer.errors import ConfigurationError

CPU = torch.device("cpu")


def pictures(count: int, network: Classifier, seed: int = 1) -> torch.Tensor:
    spec = network.architecture.input
    shape = (count, spec.channels, spec.size, spec.size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def close(found: np.ndarray, wanted: np.ndarray) -> None:
    """To 1e-4 of the largest value: a random network's features have no scale of their own."""
    assert found.shape == wanted.shape and found.dtype == np.float32
    assert np.abs(found - wanted).max() <= 1e-4 * max(1, float(np.abs(wanted).max()))


@pytest.mark.parametrize("name", every_backbone)
def test_openvino_answers_as_torch_does(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And by the tables: OpenVINO's own converter would take 10 times as long, and torch.jit."""

    def slow(*_: object, **__: object) -> None:
        raise AssertionError("OpenVINO's own converter was called")

    monkeypatch.setattr(openvino, "convert_model", slow)
    network = small_network(name, channels=3 if name == "resnet18" else 1)
    given = pictures(2, network)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features, logits = OpenVinoEngine(network).run(given)
    wanted_features, wanted_logits = TorchEngine(network, CPU).run(given)
    close(features, wanted_features)
    close(logits, wanted_logits)
    assert np.abs(wanted_logits).max() > 0.01


def test_the_served_network_at_its_real_size() -> None:
    network = small_network("densenet121", size=224)
    given = pictures(1, network)
    features, logits = OpenVinoEngine(network).run(given)
    wanted_features, wanted_logits = TorchEngine(network, CPU).run(given)
    assert features.shape == (1, 1024, 7, 7)
    close(features, wanted_features)
    assert np.abs(logits - wanted_logits).max() <= 1e-4


def test_the_large_network_starts_in_a_moment() -> None:
    """Measured: 0.8 s on one core, against 5.7 s by OpenVINO's own converter."""
    network = small_network("densenet121", size=224)
    start = time.process_time()
    OpenVinoEngine(network)
    assert time.process_time() - start < 4


class Odd(nn.Module):
    """Operations that the tables lack."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.layer(given)
        return answer


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning", "ignore:Converting a tensor to a Python")
@pytest.mark.parametrize(
    "layer",
    [
        nn.Softplus(),
        nn.AdaptiveAvgPool2d(2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.MaxPool2d(3, ceil_mode=True),
        nn.AvgPool2d(3, padding=1),
        nn.AvgPool2d(3, ceil_mode=True),
        nn.BatchNorm2d(4, affine=False),
        nn.BatchNorm2d(4, track_running_stats=False),
    ],
    ids=str,
)
def test_what_the_tables_lack_is_left_to_openvino(layer: nn.Module) -> None:
    network = Odd(layer).eval().requires_grad_(False)
    with pytest.raises(openvino_graph.UnknownOperationError):
        openvino_graph._translate(network, (4, 8, 8))
    given = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    compiled = openvino.Core().compile_model(
        openvino_model(network, (4, 8, 8)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    assert np.allclose(compiled([given.numpy()])[0], network(given).numpy(), atol=1e-5)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(4, 6, (3, 5), (2, 1), (0, 2), dilation=(2, 1)),
        nn.Conv2d(4, 6, 1, bias=False),
        nn.Conv2d(4, 6, (3, 5), (2, 1), (0, 2), dilation=(2, 1), groups=2),
        nn.LayerNorm(11, eps=0.1),
        nn.LayerNorm((9, 11), elementwise_affine=False),
        nn.Sequential(nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.Sigmoid()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(2),
        nn.MaxPool2d((2, 3), (1, 2), (1, 1)),
        nn.AvgPool2d((2, 4), (2, 1)),
        nn.Sequential(nn.BatchNorm2d(4, eps=0.1), nn.Identity(), nn.Dropout(0.5)),
    ],
    ids=str,
)
def test_every_parameter_of_a_layer_is_carried_over(layer: nn.Module) -> None:
    torch.manual_seed(2)
    network = Odd(layer).eval().requires_grad_(False)
    given = torch.randn(2, 4, 9, 11)
    compiled = openvino.Core().compile_model(
        openvino_graph._translate(network, (4, 9, 11)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    found = compiled([given.numpy()])[0]
    assert found.shape == network(given).shape
    assert np.allclose(found, network(given).numpy(), atol=1e-5)


WEIGHT = torch.linspace(-1, 1, 11)
FUNCTIONS = {
    "pad": lambda given: functional.pad(given, (1, 2, 3, 0)),
    "average": lambda given: functional.avg_pool2d(given, 3, 2, 1),
    "largest": lambda given: functional.max_pool2d(given, (3, 2), (1, 2), (1, 0)),
    "layer norm": lambda given: functional.layer_norm(given, (11,), WEIGHT, WEIGHT, 0.1),
    "batch norm": lambda given: functional.batch_norm(
        given, WEIGHT[:4], WEIGHT[6:10], WEIGHT[4:8], WEIGHT[2:6], eps=0.1
    ),
    "slices": lambda given: given[:, 1:3, 2:-1, ::2],
    "sums": lambda given: 2 * given + WEIGHT * (given - WEIGHT) + 1,
    "split": lambda given: torch.cat(
        given.permute(0, 3, 2, 1).reshape(-1, 11, 3, 12).flatten(2).unbind(1), 1
    ),
    "relu": lambda given: functional.relu(torch.permute(given, (0, 2, 3, 1))),
    "attention": lambda given: functional.scaled_dot_product_attention(given, given + 1, 2 * given),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_are_carried_over(name: str) -> None:
    class Network(nn.Module):
        def forward(self, given: torch.Tensor) -> torch.Tensor:
            return FUNCTIONS[name](given)

    torch.manual_seed(2)
    given, network = torch.randn(2, 4, 9, 11), Network().eval()
    compiled = openvino.Core().compile_model(
        openvino_graph._translate(network, (4, 9, 11)), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    found = compiled([given.numpy()])[0]
    assert found.shape == network(given).shape
    assert np.allclose(found, network(given).numpy(), atol=1e-5)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("convolution", [(1, 1, 0), (3, 1, 1), (1, 2, 0), (1, 1, 1)])
def test_pooled_first_only_where_the_order_is_free(convolution: tuple[int, int, int], bias: bool) -> None:
    torch.manual_seed(3)
    size, stride, padding = convolution
    layers = nn.Sequential(nn.Conv2d(4, 6, size, stride, padding, bias=bias), nn.AvgPool2d(2))
    network = Odd(layers).eval()
    given = torch.randn(2, 4, 12, 12)
    model = openvino_graph._translate(network, (4, 12, 12))
    order = [node.get_type_name() for node in model.get_ordered_ops()]
    assert (order.index("AvgPool") < order.index("Convolution")) == (convolution == (1, 1, 0) and not bias)
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    assert np.allclose(compiled([given.numpy()])[0], network(given).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_stream_a_thread_and_every_picture_in_its_place(threads: int) -> None:
    network = small_network()
    given, before = pictures(11, network), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        built = OpenVinoEngine(network)
    finally:
        torch.set_num_threads(before)
    wanted = TorchEngine(network, CPU).logits(given)
    for count in (1, 2, 5, 11):
        close(built.logits(given[:count]), wanted[:count])
    # OpenVINO makes no more streams than it has processors.
    assert built._many.get_property("NUM_STREAMS") == min(threads, len(os.sched_getaffinity(0)))


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_an_answer_does_not_depend_on_its_batch(engine: str) -> None:
    network = small_network()
    built = choose_engine(engine, network, CPU)
    many = pictures(17, network)
    alone = np.concatenate([built.logits(many[k : k + 1]) for k in range(17)])
    assert alone.shape == (17, 15)
    assert np.abs(built.logits(many) - alone).max() <= 1e-4
    assert np.abs(built.run(many)[1] - alone).max() <= 1e-4
    assert np.abs(alone[0] - alone[1]).max() > 1e-3


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_four_threads_get_the_answers_of_one(engine: str) -> None:
    network = small_network()
    built = choose_engine(engine, network, CPU)
    given = [pictures(2, network, seed) for seed in range(8)]
    wanted = [built.run(one) for one in given]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(built.run, given * 4))
    for k, (features, logits) in enumerate(found):
        assert np.array_equal(features, wanted[k % 8][0])
        assert np.array_equal(logits, wanted[k % 8][1])


def test_an_answer_is_not_overwritten_by_the_next_one() -> None:
    network = small_network()
    built = OpenVinoEngine(network)
    features, logits = built.run(pictures(1, network, 1))
    kept = features.copy(), logits.copy()
    built.run(pictures(1, network, 2))
    assert np.array_equal(features, kept[0]) and np.array_equal(logits, kept[1])


@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_a_picture_in_another_memory_order_is_the_same_picture(engine: str) -> None:
    network = small_network(channels=3)
    built = choose_engine(engine, network, CPU)
    given = pictures(2, network)
    turned = given.to(memory_format=torch.channels_last)
    assert not turned.is_contiguous()
    assert np.array_equal(built.run(turned)[1], built.run(given)[1])


def test_auto_takes_openvino_on_a_cpu() -> None:
    assert choose_engine("auto", small_network(), CPU).name == "openvino"
    assert choose_engine("torch", small_network(), CPU).name == "torch"


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"called warp\. Choose auto, openvino or torch"):
        choose_engine("warp", small_network(), CPU)


def test_other_threads_run_their_networks_while_one_is_translated() -> None:
    """A study is opened while the model is being loaded: its scope network must neither fail nor get into the graph."""
    other, picture = nn.Sequential(nn.Linear(4, 4), nn.ReLU()), torch.ones(1, 4)
    expected, stop, failures = other(picture), threading.Event(), []

    def run() -> None:
        while not stop.is_set():
            try:
                assert torch.equal(other(picture), expected)
            except (NameError, RuntimeError, TypeError, AssertionError) as error:
                failures.append(error)
                return

    thread = threading.Thread(target=run)
    thread.start()
    try:
        model = openvino_model(Classifier(Architecture()).eval(), (1, 64, 64))
    finally:
        stop.set()
        thread.join()
    assert not failures
    assert sum(node.get_type_name() == "MatMul" for node in model.get_ops()) == 2, (
        "the two heads, nothing of others"
    )
