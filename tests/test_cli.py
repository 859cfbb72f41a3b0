"""The command line's contract: names, JSON, exit statuses, order, and what never reaches a terminal."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.pictures import png_of
from support.tiny_bundle import save_tiny_bundle
from typer.testing import CliRunner, Result

from cxrviewer import __version__
from cxrviewer.cli import app
from cxrviewer.labels import NIH_14
from cxrviewer.settings import get_settings


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_bundle(tmp_path_factory.mktemp("models")).parent


@pytest.fixture(autouse=True)
def site(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CXR_MODELS_DIR", str(models))
    monkeypatch.setenv("CXR_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("CXR_ENGINE", "torch")
    monkeypatch.setenv("CXR_DEVICE", "cpu")
    get_settings.cache_clear()
    yield
    get_settings.cache_clear()


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "a.png").write_bytes(png_of(1))
    (folder / "b.dcm").write_bytes(bytes(128) + b"DICM" + b"broken")
    (folder / "c.png").write_bytes(png_of(2))
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_help_is_quick_and_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "sys.argv = ['cxrviewer', '--help']\n"
        "from cxrviewer.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: print('exit', end.code)\n"
        "print(sorted({'torch', 'sqlalchemy', 'streamlit', 'numpy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["exit 0", "[]"]
    for command in ("predict", "explain", "evaluate", "train", "runs", "models", "datasets"):
        assert command in done.stdout


def test_predict_json_is_as_the_contract_says(files: Path) -> None:
    result = run("predict", "--json", files / "a.png")
    assert result.exit_code == 0
    (answer,) = objects(result)
    assert answer["source"].endswith("a.png")
    assert answer["ok"] is True
    assert answer["digest"] == hashlib.sha256((files / "a.png").read_bytes()).hexdigest()
    assert set(answer["model"]) == {"id", "weights_sha256", "app_version"}
    assert (answer["model"]["id"], answer["model"]["app_version"]) == ("tiny-1", __version__)
    assert len(answer["model"]["weights_sha256"]) == 64
    assert answer["scope"] == {"in_scope": True, "reasons": []}
    assert tuple(answer["findings"]) == NIH_14
    for score in (answer["pneumonia"], *answer["findings"].values()):
        assert set(score) == {"probability", "threshold", "positive"}
        assert 0 <= score["probability"] <= 1
        assert score["positive"] == (score["probability"] >= score["threshold"])
    assert set(answer["seconds"]) == {"decode", "predict"}
    assert all(seconds > 0 for seconds in answer["seconds"].values())


def test_inputs_are_answered_in_order_and_one_failure_is_status_1(files: Path) -> None:
    result = run("predict", "--json", files / "c.png", files, files / "absent.png")
    assert result.exit_code == 1
    answers = objects(result)
    assert [Path(a["source"]).name for a in answers] == ["c.png", "a.png", "b.dcm", "c.png", "absent.png"]
    assert [a["ok"] for a in answers] == [True, True, False, True, False]
    assert [a["error"]["kind"] for a in answers if not a["ok"]] == ["unreadable", "not-found"]
    assert set(answers[2]) == {"source", "ok", "error"}
    assert set(answers[2]["error"]) == {"kind", "message"}


def test_a_member_of_a_zip_is_named_by_both(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("deep/x.png", png_of(3))
    (answer,) = objects(run("predict", "--json", tmp_path / "all.zip"))
    assert answer["source"] == f"{tmp_path / 'all.zip'}!deep/x.png"


def test_out_of_scope_is_an_answer_for_predict_and_a_failure_for_explain(tmp_path: Path) -> None:
    path = tmp_path / "flat.png"
    Image.fromarray(np.full((200, 200), 90, np.uint8)).save(path)
    result = run("predict", "--json", path)
    assert result.exit_code == 0
    (answer,) = objects(result)
    assert answer["ok"] is True
    assert answer["scope"]["in_scope"] is False
    assert answer["scope"]["reasons"]
    assert answer["pneumonia"] is None and answer["findings"] is None
    out = tmp_path / "out"
    result = run("explain", path, "--method", "gradcam", "--target", "Mass", "--out", out, "--json")
    assert result.exit_code == 1
    (answer,) = objects(result)
    assert (answer["ok"], answer["error"]["kind"]) == (False, "out-of-scope")
    assert not out.exists()


def test_without_a_model_the_kind_says_so(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXR_MODELS_DIR", str(tmp_path / "none"))
    get_settings.cache_clear()
    result = run("predict", "--json", files / "a.png", files / "c.png")
    assert result.exit_code == 1
    assert [answer["error"]["kind"] for answer in objects(result)] == ["no-model", "no-model"]
    result = run("predict", "--model", "../../etc", "--json", files / "a.png")
    assert objects(result)[0]["error"]["kind"] == "no-model"


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict"],
        ["predict", "--device", "abacus", "x.png"],
        ["predict", "--no-such-option", "x.png"],
        ["explain", "x.png"],
        ["explain", "x.png", "--method", "tea-leaves", "--target", "Mass", "--out", "o"],
        ["explain", "x.png", "--method", "lime", "--target", "Mass", "--out", "o", "--samples", "0"],
        ["nonsense"],
    ],
)
def test_wrong_usage_is_status_2_and_says_nothing_on_stdout(arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


def test_a_wrong_setting_is_wrong_usage(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXR_SITE_PREVALENCE", "3")
    get_settings.cache_clear()
    result = run("predict", files / "a.png")
    assert result.exit_code == 2
    assert "CXR_SITE_PREVALENCE" in result.stderr


def test_two_dashes_end_the_options(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(files)
    (files / "--json").write_bytes(png_of(1))
    result = run("predict", "--", "--json")
    assert result.exit_code == 0
    assert result.stdout.startswith("--json: pneumonia ")


def test_a_hostile_name_reaches_the_terminal_as_plain_text(files: Path) -> None:
    hostile = files / "x\x1b]0;pwned\x07\x1b[31m\n\u202egnp.png"
    hostile.write_bytes(b"no picture")
    for result in (run("predict", hostile), run("predict", "--json", hostile)):
        text = result.stdout + result.stderr
        assert result.exit_code == 1
        assert len(result.stdout.splitlines()) == 1
        assert text.isascii() and all(c.isprintable() or c == "\n" for c in text)


def test_human_lines_name_model_use_and_limits(files: Path) -> None:
    result = run("predict", files)
    assert result.exit_code == 1
    first, second, third = result.stdout.splitlines()
    assert "pneumonia 0." in first and "tiny-1" in first and "tiny-1" in third
    assert "unreadable" in second
    assert "Tests. Untrained." in result.stderr


def test_an_unexpected_error_is_calm(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("Doe^Jane")

    monkeypatch.setattr("cxrviewer.reading.Reader.read_sources", explode)
    result = run("predict", "--json", files)
    assert result.exit_code == 1
    assert objects(result)[0]["error"]["kind"] == "internal"
    assert "Doe" not in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_predict_leaves_nothing_behind(files: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    run("predict", files)
    assert sorted(tmp_path.rglob("*")) == before


def test_models_are_listed_shown_verified_and_chosen(models: Path, tmp_path: Path) -> None:
    (info,) = objects(run("models", "list", "--json"))
    assert (info["id"], info["serving"], info["shipped"], info["problem"]) == ("tiny-1", True, True, None)
    assert run("models", "list").stdout.startswith("*tiny-1: Untrained")
    card = json.loads(run("models", "show", "tiny-1").stdout)
    assert card["intended_use"] == "Tests."
    assert run("models", "verify").exit_code == 0
    own = save_tiny_bundle(tmp_path / "data" / "models", "mine-2")
    assert run("models", "use", "mine-2").exit_code == 0
    assert [i["id"] for i in objects(run("models", "list", "--json")) if i["serving"]] == ["mine-2"]
    weights = own / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    result = run("models", "verify", "--json")
    assert result.exit_code == 1
    assert [(row["id"], row["ok"]) for row in objects(result)] == [("tiny-1", True), ("mine-2", False)]


def test_a_bad_model_is_not_chosen(tmp_path: Path) -> None:
    own = save_tiny_bundle(tmp_path / "data" / "models", "mine-2")
    (own / "weights.safetensors").write_bytes(b"nothing")
    result = run("models", "use", "mine-2")
    assert result.exit_code == 1
    assert "hash differs" in result.stderr
    assert [i["id"] for i in objects(run("models", "list", "--json")) if i["serving"]] == ["tiny-1"]
    assert run("models", "use", "no-such").exit_code == 1
    assert run("models", "show", "../tiny-1").exit_code == 1


def explain(path: Path, out: Path, method: str, target: str, *more: str) -> Result:
    return run("explain", path, "--method", method, "--target", target, "--out", out, "--json", *more)


def test_a_folder_that_cannot_be_written_is_told_before_any_work(files: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_bytes(b"a file")
    result = run(
        "explain", files / "a.png", "--method", "lime", "--target", "Mass", "--out", tmp_path / "taken"
    )
    assert result.exit_code == 2
    assert "--out cannot be written to" in result.stderr and "Choose another folder" in result.stderr


def test_explain_writes_numbers_and_a_picture_for_every_method(files: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    result = explain(
        files / "a.png",
        out,
        "all",
        "findings:pneumonia",
        "--steps",
        "20",
        "--baseline",
        "mean",
        "--samples",
        "40",
    )
    assert result.exit_code == 0, result.output
    digest = hashlib.sha256((files / "a.png").read_bytes()).hexdigest()
    found = {answer["method"]: answer for answer in objects(result)}
    assert list(found) == ["gradcam", "integrated-gradients", "lime"]
    for method, answer in found.items():
        assert answer["ok"] is True
        assert answer["target"] == "findings:Pneumonia"
        stem = out / f"{digest[:12]}.{method}.findings-pneumonia"
        assert (answer["npz"], answer["png"]) == (f"{stem}.npz", f"{stem}.png")
        with np.load(answer["npz"], allow_pickle=False) as arrays:
            assert arrays.files == ["heatmap"]
            heatmap = arrays["heatmap"]
        assert (heatmap.shape, heatmap.dtype) == ((128, 160), np.float32)
        with Image.open(answer["png"]) as picture:
            assert (picture.size, picture.mode) == ((160, 128), "RGB")
        assert answer["seconds"] > 0
    gradients, lime = found["integrated-gradients"], found["lime"]
    assert 0 < gradients["steps"] <= 20
    assert isinstance(gradients["convergence_delta"], float)
    assert (gradients["parameters"]["steps"], gradients["parameters"]["baseline"]) == (20, "mean")
    assert 0 < lime["samples"] <= 40 and lime["segments"] > 1 and lime["r2"] <= 1
    assert (lime["parameters"]["samples"], lime["parameters"]["seed"]) == (40, 0)
    assert len(list(out.iterdir())) == 6, "nothing else is left there"


def test_no_name_is_made_from_the_files_own(files: Path, tmp_path: Path) -> None:
    (files / "Doe^Jane.png").write_bytes(png_of(1))
    out = tmp_path / "out"
    assert explain(files / "Doe^Jane.png", out, "gradcam", "pneumonia").exit_code == 0
    digest = hashlib.sha256(png_of(1)).hexdigest()[:12]
    assert sorted(path.name for path in out.iterdir()) == [
        f"{digest}.gradcam.pneumonia.npz",
        f"{digest}.gradcam.pneumonia.png",
    ]


@pytest.mark.parametrize(
    ("name", "target", "more", "kind"),
    [
        ("a.png", "Eggplant", [], "unknown-target"),
        ("absent.png", "Mass", [], "not-found"),
        ("b.dcm", "Mass", [], "unreadable"),
        ("a.png", "Mass", ["--frame", "2"], "not-found"),
        ("a.png", "Mass", ["--model", "no-such"], "no-model"),
    ],
)
def test_a_failed_explanation_says_its_kind(
    files: Path, tmp_path: Path, name: str, target: str, more: list[str], kind: str
) -> None:
    result = explain(files / name, tmp_path / "out", "all", target, *more)
    assert result.exit_code == 1
    (answer,) = objects(result)
    assert (answer["ok"], answer["error"]["kind"]) == (False, kind)
    assert answer["source"].endswith(name)
    assert not (tmp_path / "out").exists()


def test_several_pictures_at_once_are_wrong_usage(files: Path, tmp_path: Path) -> None:
    assert explain(files, tmp_path / "out", "gradcam", "Mass").exit_code == 2


def test_the_same_seed_gives_the_same_map(files: Path, tmp_path: Path) -> None:
    maps = []
    for name, seed in (("x", "0"), ("y", "0"), ("z", "1")):
        (answer,) = objects(
            explain(files / "a.png", tmp_path / name, "lime", "Mass", "--samples", "30", "--seed", seed)
        )
        with np.load(answer["npz"]) as arrays:
            maps.append(arrays["heatmap"])
    np.testing.assert_array_equal(maps[0], maps[1])
    assert np.abs(maps[0] - maps[2]).max() > 0
