"""The one door to a network: shared by threads, and left as it was found."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from support.small_models import SIZE, small_network

from cxrviewer.classifiers import serving as serving_module
from cxrviewer.classifiers.serving import ServingClassifier, choose_device
from cxrviewer.errors import ConfigurationError


def serve(engine: str = "torch", device: str = "cpu") -> ServingClassifier:
    return ServingClassifier(
        small_network(), model_id="small-1", weights_sha256="0" * 64, engine=engine, device=device
    )


def pictures(count: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(seed))


def left_behind(network: torch.nn.Module) -> Iterator[str]:
    """What a borrower may not leave on the shared network."""
    if any(module.training for module in network.modules()):
        yield "training mode"
    if any(parameter.grad is not None for parameter in network.parameters()):
        yield "gradients"
    if any(parameter.requires_grad for parameter in network.parameters()):
        yield "parameters that ask for gradients"
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(module, kind) for module in network.modules() for kind in kinds):
        yield "hooks"


def test_what_is_left_behind_would_be_seen() -> None:
    network = small_network()
    network.train()
    network(pictures()).sum().backward()
    network.feature_layer.register_forward_hook(lambda *_: None)
    assert len(list(left_behind(network))) == 4


def test_two_borrowers_come_one_after_the_other() -> None:
    served, inside, most = serve(), 0, 0
    counting = threading.Lock()

    def borrow(seed: int) -> torch.Tensor:
        nonlocal inside, most
        with served.gradients() as network:
            with counting:
                inside += 1
                most = max(most, inside)
            given = pictures(1, seed).requires_grad_(True)
            time.sleep(0.02)
            (gradient,) = torch.autograd.grad(network(given)[0, 0], given)
            with counting:
                inside -= 1
        return gradient

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(borrow, range(6)))
    assert most == 1
    assert all(torch.equal(gradient, borrow(seed)) for seed, gradient in enumerate(found))


def test_scores_do_not_wait_for_a_borrower() -> None:
    """An explanation takes seconds; another session's answer must not stand behind it."""
    served = serve()
    wanted = served.logits(pictures())
    with served.gradients(), ThreadPoolExecutor(1) as pool:
        assert np.array_equal(pool.submit(served.logits, pictures()).result(timeout=20), wanted)


def test_nothing_is_left_after_gradients() -> None:
    served = serve()
    before = served.logits(pictures())
    with served.gradients() as network:
        given = pictures().requires_grad_(True)
        network(given)[:, 0].sum().backward()
        assert given.grad is not None
        assert list(left_behind(network)) == []
    assert np.array_equal(served.logits(pictures()), before)


def test_an_exception_gives_the_network_back() -> None:
    served = serve()
    before = served.logits(pictures())
    with pytest.raises(ZeroDivisionError), served.gradients() as network:
        network(pictures().requires_grad_(True)).sum().backward()
        raise ZeroDivisionError
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(lambda: list(_borrowed(served))).result(timeout=20) == []
    assert np.array_equal(served.logits(pictures()), before)


def _borrowed(served: ServingClassifier) -> Iterator[str]:
    with served.gradients() as network:
        yield from left_behind(network)


def test_a_network_in_training_is_put_to_rest() -> None:
    network = small_network().train().requires_grad_(True)
    served = ServingClassifier(network, model_id="x", weights_sha256="", engine="torch", device="cpu")
    with served.gradients() as borrowed:
        assert list(left_behind(borrowed)) == []


def test_an_answer_leaves_the_statistics_alone() -> None:
    served = serve()
    with served.gradients() as network:
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    served.run(pictures(5))
    served.logits(pictures(20))
    with served.gradients() as network:
        assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_run_and_logits_agree() -> None:
    served = serve()
    output = served.run(pictures(3))
    assert output.logits.shape == (3, 15) and output.logits.dtype == np.float32
    assert output.features.shape == (3, 32, SIZE // 8, SIZE // 8) and output.features.dtype == np.float32
    assert np.allclose(served.logits(pictures(3)), output.logits, atol=1e-6)
    assert served.head_weights().shape == (15, 32)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_the_engine_is_made_once_by_the_first_of_many_threads(
    engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, choose = [], serving_module.choose_engine

    def slowly(*arguments: object) -> object:
        made.append(1)
        time.sleep(0.1)
        return choose(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(serving_module, "choose_engine", slowly)
    served = serve(engine)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(served.logits, [pictures()] * 4))
    assert len(made) == 1
    assert all(np.array_equal(answer, answers[0]) for answer in answers)
    assert served.engine == engine


def test_a_gpu_that_is_not_there_is_not_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    """A result names its device, so the wish for a GPU is not quietly answered by a CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match=r"no GPU.*auto or cpu"):
        serve(device="cuda")
    assert serve(device="auto").device.type == "cpu"


def test_a_result_names_the_device_that_computed_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.backends, "fp32_precision", torch.backends.fp32_precision)
    assert choose_device("auto").type == choose_device("cuda", "torch").type == "cuda"
    assert torch.backends.fp32_precision == "ieee"
    assert choose_device("auto", "openvino").type == choose_device("cpu").type == "cpu"
    with pytest.raises(ConfigurationError, match="OpenVINO computes on the CPU"):
        choose_device("cuda", "openvino")
