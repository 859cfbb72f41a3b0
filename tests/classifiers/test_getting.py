"""Published weights become bundles: from a local server in the source's place, with weights of the same shapes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from support.small_models import phantom_radiograph
from typer.testing import CliRunner

from cxrviewer.classifiers import getting
from cxrviewer.classifiers.bundle import open_bundle
from cxrviewer.classifiers.foreign import read_foreign
from cxrviewer.classifiers.getting import available, fetch
from cxrviewer.classifiers.importing import classifier_of
from cxrviewer.classifiers.model import ServingModel
from cxrviewer.classifiers.preparing import normalise
from cxrviewer.classifiers.published import PUBLISHED, Published, published
from cxrviewer.cli import app
from cxrviewer.errors import CancelledError, ConfigurationError, ModelBundleError, NetworkError
from cxrviewer.explainers import EXPLAINERS, explainer
from cxrviewer.settings import Settings, get_settings

NAME = "xrv-densenet121-chex"


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; `stall` sends a little and falls silent."""

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path == "/stall":
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            self.wfile.write(b"x" * 1000)
            self.wfile.flush()
            time.sleep(2)
        else:
            super().do_GET()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the source would hold: the library's own network with random weights, whole, as its files are."""
    xrv = pytest.importorskip("torchxrayvision")
    folder = tmp_path_factory.mktemp("source")
    torch.manual_seed(0)
    network = xrv.models.DenseNet(num_classes=18).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
    torch.save(network, folder / "new.pt")
    torch.save(network, folder / "old.pt", _use_new_zipfile_serialization=False)
    torch.save(network.state_dict(), folder / "state.pt")
    (folder / "damaged.pt").write_bytes((folder / "new.pt").read_bytes()[:100_000])
    return folder


@pytest.fixture(scope="module")
def address(source: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(source)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An own data folder and home; the shipped models."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return Settings(data_dir=tmp_path / "data")


def theirs(source: Path) -> torch.nn.Module:
    network = torch.load(source / "new.pt", weights_only=False)  # our own file, written above
    assert isinstance(network, torch.nn.Module)
    return network


@pytest.mark.parametrize("file", ["new.pt", "old.pt", "state.pt"])
def test_the_converted_network_is_theirs(file: str, source: Path) -> None:
    """The named outputs, in the library's order, before anything is rounded."""
    entry = published(NAME)
    network = classifier_of(entry, read_foreign(source / file, NAME))
    pictures = torch.rand(2, 1, 224, 224, generator=torch.Generator().manual_seed(1))
    inputs = normalise(pictures, network.architecture.input)
    assert float(inputs.min()) >= -1024 and float(inputs.max()) <= 1024
    with torch.no_grad():
        everything, found = theirs(source)(inputs), network(inputs)
    named = [index for index, label in enumerate(entry.labels) if label]
    assert [target.label for target in network.targets] == [entry.labels[index] for index in named]
    torch.testing.assert_close(found, everything[:, named], rtol=1e-4, atol=1e-4)


def test_a_model_is_fetched_checked_and_served(settings: Settings, address: str) -> None:
    told: list[tuple[float, str]] = []
    models = settings.data_dir / "models"
    got = fetch(
        NAME, models, lambda *said: told.append(said), source_url=f"{address}/new.pt", settings=settings
    )
    assert got.path == models / NAME and got.model_id == NAME
    assert [path.name for path in models.iterdir()] == [NAME], "nothing else is left behind"
    assert told[0][0] == 0 and told[-1] == (1.0, "converting and checking")
    assert any("MB/s" in words for _, words in told)
    bundle = open_bundle(got.path)
    assert len(bundle.card.checks["source_sha256"]) == 64  # type: ignore[arg-type]
    effusion = next(target for target in bundle.card.targets if target.label == "Effusion")
    assert effusion.threshold == pytest.approx(0.27212676) and effusion.prevalence is None
    assert bundle.card.scope.measured["taken_from"] == "densenet121-cxr-2"
    assert next(offer for offer in available(settings) if offer.published.name == NAME).present

    model = ServingModel(bundle, engine="torch", device="cpu", site_prevalence=0.2)
    # A phantom is no chest to the picture's check: header rules alone.
    model.scope = type(model.scope)(bundle.card.scope.model_copy(update={"thresholds": {}}), {})
    prediction = model.predict(phantom_radiograph(size=256))
    assert prediction.pneumonia is None and len(prediction.findings) == 11
    assert all(score.positive == (score.probability >= score.threshold) for score in prediction.scores)
    assert all(score.prevalence is None for score in prediction.scores)


def test_every_explainer_works_on_it(settings: Settings, source: Path) -> None:
    got = fetch(
        NAME, settings.data_dir / "models", source_url=(source / "state.pt").as_uri(), settings=settings
    )
    serving = ServingModel(open_bundle(got.path), engine="torch", device="cpu").serving
    quick = {
        "integrated-gradients": {"steps": 4},
        "lime": {"samples": 12, "segments": 4, "segmentation": "grid"},
    }
    for method in EXPLAINERS:
        made = explainer(method, **quick.get(method, {}))
        heat = made.explain(serving, phantom_radiograph(size=256), serving.targets[2]).heatmap()
        assert heat.shape == (256, 256) and np.isfinite(heat).all() and np.ptp(heat) > 0, method


@pytest.mark.parametrize(
    ("path", "error", "words"),
    [
        ("/absent.pt", NetworkError, r"127\.0\.0\.1 answered 404"),
        ("/damaged.pt", ModelBundleError, "damaged, or hold more than a network"),
        ("/code.pt", ModelBundleError, "damaged, or hold more than a network"),
        ("/other.pt", ModelBundleError, "not those of densenet121 with 18 outputs"),
        ("/large.pt", NetworkError, "larger than the 42 MB that were expected"),
    ],
)
def test_a_bad_source_changes_nothing(
    path: str, error: type[Exception], words: str, settings: Settings, source: Path, address: str
) -> None:
    torch.save({"weights": print}, source / "code.pt")
    torch.save({"features.conv0.weight": torch.zeros(1)}, source / "other.pt")
    with (source / "large.pt").open("wb") as file:
        file.truncate(50_000_000)
    models = settings.data_dir / "models"
    kept = models / NAME / "kept"
    kept.parent.mkdir(parents=True)
    kept.write_text("the older one")
    with pytest.raises(error, match=words):
        fetch(NAME, models, source_url=address + path, settings=settings)
    assert [item.name for item in models.iterdir()] == [NAME] and kept.is_file()


def test_a_checkpoint_that_would_run_code_runs_nothing(settings: Settings, tmp_path: Path) -> None:
    """A class whose unpickling writes a file: refused before it could."""
    mark, bad = tmp_path / "ran", tmp_path / "bad.pt"

    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (mark,))

    torch.save({"weights": Evil()}, bad)
    with pytest.raises(ModelBundleError):
        fetch(NAME, settings.data_dir / "models", source_url=bad.as_uri(), settings=settings)
    assert not mark.exists()


def test_offline_and_silence_are_said_within_seconds(
    settings: Settings, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = settings.data_dir / "models"
    start = time.monotonic()
    with pytest.raises(NetworkError, match="could not be reached"):
        fetch(NAME, models, source_url="http://127.0.0.1:9/x.pt", settings=settings)
    monkeypatch.setattr("cxrviewer.classifiers.fetching.PATIENCE", 0.5)
    with pytest.raises(NetworkError, match="fell silent"):
        fetch(NAME, models, source_url=f"{address}/stall", settings=settings)
    assert time.monotonic() - start < 5
    assert list(models.iterdir()) == []


def test_a_download_can_be_stopped(settings: Settings, address: str) -> None:
    models = settings.data_dir / "models"
    with pytest.raises(CancelledError):
        fetch(NAME, models, source_url=f"{address}/new.pt", cancelled=lambda: True, settings=settings)
    assert list(models.iterdir()) == []


def test_what_the_library_fetched_is_not_fetched_again(settings: Settings, source: Path) -> None:
    cache = Path.home() / getting.XRV_CACHE
    cache.mkdir(parents=True)
    (cache / published(NAME).file).write_bytes((source / "new.pt").read_bytes())
    assert fetch(NAME, settings.data_dir / "models", settings=settings).model_id == NAME
    assert (cache / published(NAME).file).is_file()


def test_a_starting_point_goes_where_training_looks(
    settings: Settings, source: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = published("imagenet-resnet18")
    content = (source / "state.pt").read_bytes()
    with pytest.raises(NetworkError, match="not the file that was published"):
        fetch(entry.name, settings.data_dir / "models", source_url=f"{address}/state.pt", settings=settings)
    from hashlib import sha256

    own = Published(**(vars(entry) | {"sha256": sha256(content).hexdigest()[:8]}))
    monkeypatch.setitem(PUBLISHED, entry.name, own)
    got = fetch(entry.name, settings.data_dir / "models", source_url=f"{address}/state.pt", settings=settings)
    assert got.model_id is None
    assert got.path == Path(torch.hub.get_dir()) / "checkpoints" / entry.file
    assert got.path.read_bytes() == content


def test_names_and_addresses_are_checked_first(settings: Settings) -> None:
    with pytest.raises(ConfigurationError, match="no published weights called nonsense"):
        fetch("nonsense", settings.data_dir, settings=settings)
    with pytest.raises(ConfigurationError, match="https, http or from a file"):
        fetch(NAME, settings.data_dir, source_url="ftp://example.org/x", settings=settings)


def test_from_the_command_line(settings: Settings, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_DATA_DIR", str(settings.data_dir))
    get_settings.cache_clear()
    try:
        runner = CliRunner()
        listed = runner.invoke(app, ["models", "available", "--json"])
        entries = [json.loads(line) for line in listed.stdout.splitlines()]
        assert listed.exit_code == 0 and [entry["name"] for entry in entries] == list(PUBLISHED)
        assert not any(entry["present"] for entry in entries)
        got = runner.invoke(app, ["models", "get", NAME, "--from", (source / "old.pt").as_uri()])
        assert got.exit_code == 0 and f"models use {NAME}" in got.stdout
        starred = runner.invoke(app, ["models", "available"])
        assert f"*{NAME}: 11 findings, 224 px" in starred.stdout
        refused = runner.invoke(app, ["models", "get", NAME, "--from", "http://127.0.0.1:9/x", "--json"])
        assert refused.exit_code == 1 and "could not be reached" in refused.stdout
    finally:
        get_settings.cache_clear()
