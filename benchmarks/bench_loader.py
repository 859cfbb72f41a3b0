"""The loader beside the network: a cached epoch with augmentation, against the same network on made-up batches.

Both in one process, a few batches of each in turn, medians. 1.00: the network waits for nothing. On a CPU any network
and size; with CUDA: DenseNet-121 at 224 in bf16 by default.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import binary_cross_entropy_with_logits

from cxrviewer.classifiers.architecture import Architecture, InputSpec
from cxrviewer.classifiers.classifier import Classifier
from cxrviewer.classifiers.preparer import Preparer
from cxrviewer.training.config import Augmentation
from cxrviewer.training.feeder import Ahead
from cxrviewer.training.picture_cache import PictureCache
from cxrviewer.training.picture_filling import Filling, Wanted
from cxrviewer.training.pictures import Batch, EpochBatches, Pictures, RawBatch, order_of


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    cuda = torch.cuda.is_available()
    parser.add_argument("--device", default="cuda" if cuda else "cpu")
    parser.add_argument("--backbone", default="densenet121")
    parser.add_argument("--size", type=int, default=224 if cuda else 128)
    parser.add_argument("--batch", type=int, default=128 if cuda else 16)
    parser.add_argument("--pictures", type=int, default=4096 if cuda else 256)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--batches", type=int, default=20 if cuda else 2, help="in a round")
    parser.add_argument("--ahead", action="store_true", help="a reading thread on a CPU too")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def cached(folder: Path, count: int, size: int) -> tuple[Pictures, float]:
    """Made-up JPEGs of 320 px through the cache, and how many a second were decoded and kept."""
    rng, paths = np.random.default_rng(1), []
    base = np.asarray(Image.fromarray(rng.integers(0, 256, (20, 20), np.uint8)).resize((380, 360)), np.int16)
    for number in range(count):
        paths.append(folder / f"{number}.jpeg")
        noise = rng.integers(-12, 12, base.shape)
        Image.fromarray(np.clip(base + noise, 0, 255).astype(np.uint8)).save(paths[-1], quality=90)
    start = time.perf_counter()
    wanted = [Wanted(path) for path in paths]
    cache = PictureCache(folder / "cache", 10**11)
    filled = Filling(cache, {size: Preparer(InputSpec(size))}, wanted).fill(lambda *_: None, lambda: None)
    seconds = time.perf_counter() - start
    targets = rng.integers(0, 2, (count, 15)).astype(np.float32)
    return Pictures(filled.pixels[size], None, np.zeros(count, np.bool_), targets), count / seconds


class Step:
    """One training step of a classifier: forward, loss, backward, optimiser."""

    def __init__(self, backbone: str, size: int, device: torch.device) -> None:
        torch.manual_seed(1)
        self.network = Classifier(Architecture(backbone, input=InputSpec(size))).to(
            device, memory_format=torch.channels_last
        )
        self.network.train()
        self.optimizer = torch.optim.AdamW(self.network.parameters(), 1e-4)
        self.device = device

    def __call__(self, batch: Batch) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            loss = binary_cross_entropy_with_logits(self.network(batch.pictures), batch.targets)
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()


def made_up(options: argparse.Namespace, device: torch.device) -> Iterator[Batch]:
    """The same batch again and again, on the device already."""
    pictures = torch.randn(options.batch, 1, options.size, options.size, device=device)
    pictures = pictures.contiguous(memory_format=torch.channels_last)
    targets = torch.randint(0, 2, (options.batch, 15), device=device).float()
    batch = Batch(pictures, torch.zeros_like(pictures), torch.zeros(options.batch, device=device), targets)
    return itertools.repeat(batch)


def loaded(options: argparse.Namespace, pictures: Pictures, device: torch.device) -> Iterator[Batch]:
    """Epoch after epoch, as the feeder deals them."""
    count = len(pictures.targets)
    for epoch in itertools.count():
        order = order_of(epoch, 1, [(np.arange(count), count)])
        batches = EpochBatches(
            pictures, order, batch_size=options.batch, spec=InputSpec(options.size), seed=1, epoch=epoch,
            augmentation=Augmentation(),
        )  # fmt: skip
        ahead = device.type == "cuda" or options.ahead
        dealt: Iterable[Batch | RawBatch] = Ahead(batches) if ahead else batches
        for batch in dealt:
            yield batch.finished(device) if isinstance(batch, RawBatch) else batch


def seconds_of(work: Callable[[], None], device: torch.device) -> tuple[float, float]:
    """Wall and processor time. On a shared machine only the second says something of a network on the CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    start, used = time.perf_counter(), time.process_time()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, time.process_time() - used


def main() -> None:
    """Prints one JSON object."""
    options = parsed()
    device = torch.device(options.device)
    step = Step(options.backbone, options.size, device)
    with tempfile.TemporaryDirectory() as folder:
        pictures, decoded = cached(Path(folder), options.pictures, options.size)
        rivals = {"made up": made_up(options, device), "loaded": loaded(options, pictures, device)}

        def some(batches: Iterator[Batch]) -> None:
            for batch in itertools.islice(batches, options.batches):
                step(batch)

        for batches in rivals.values():
            some(batches)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in rivals}
        for number in range(options.rounds):
            # Each leads in turn: whoever comes second finds warm caches.
            for name in list(rivals)[:: 1 if number % 2 else -1]:
                taken[name].append(seconds_of(lambda name=name: some(rivals[name]), device))  # type: ignore[misc]
        alone = loaded(options, pictures, device)
        loader = seconds_of(
            lambda: sum(len(b.targets) for b in itertools.islice(alone, options.batches)), device
        )  # type: ignore[arg-type,return-value]
    images = options.batch * options.batches
    rates = {name: images / statistics.median(wall for wall, _ in seconds) for name, seconds in taken.items()}
    pairs = list(zip(taken["made up"], taken["loaded"], strict=True))
    shares = {
        name: round(statistics.median(bare[k] / own[k] for bare, own in pairs), 3)
        for k, name in enumerate(("wall", "processor"))
    }
    found = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "network": f"{options.backbone} at {options.size}, batches of {options.batch}",
        "images_a_second": {name: round(rate, 1) for name, rate in rates.items()},
        "loader_alone_images_a_second": round(images / loader[0], 1),
        "decoded_into_cache_a_second": round(decoded, 1),
        "share_of_the_networks_own_rate": shares,
    }
    text = json.dumps(found, indent=1)
    sys.stdout.write(text + "\n")
    if options.out:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
