"""The whole detector in the engine: the same faces as PyTorch, the published weights' precision, the pruning table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from converters.conversion.pipeline import convert
from converters.verify import relative_error
from sparsenet import load
from sparsenet.cli import main
from sparsenet.detection import Detections
from sparsenet.detection.detector import detector_of, load_detector
from sparsenet.detection.image import letterbox
from sparsenet.errors import InputError
from tests.full import FULL
from training.checkpoint import save_model
from training.detection.config import DetectionConfig
from training.detection.drawn import draw_scenes
from training.detection.evaluate import find_faces, torch_detector
from training.detection.published import detector_info, open_detector
from training.detection.scoring import GroundTruth, average_precision
from training.detection.split import split
from training.detection.sweep import Sweep
from training.detection.train import train_detector
from training.detection.variants import SweepConfig, prunable_layers
from training.detection.widerface import load_faces
from training.models import RetinaFace, build_detector

NAME = "retinaface-mobilenet0.25"
#: Training is fastest on small images; at 320 × 320 the engine runs nearly the kernels of 640 × 640.
CROP, SIZE = 64, 320
INFO = detector_info(NAME, SIZE)
SCENES = draw_scenes(8, CROP, seed=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a detector that has seen a few drawn faces, for 320 × 320 pixels."""
    config = DetectionConfig(epochs=3, batch_size=4, size=CROP, lr=3e-3, optimizer="adamw", clip_norm=10.0)
    model = train_detector(build_detector(NAME), SCENES, config, INFO, progress=False).model
    path = tmp_path_factory.mktemp("detector") / "trained.safetensors"
    save_model(path, model, INFO)
    return path


@pytest.fixture(scope="module")
def model_file(trained: Path) -> Path:
    path = trained.with_name("model.safetensors")
    convert(trained, path, measure_speed=False, threads=1)
    return path


def assert_same(a: Detections, b: Detections, pixels: float) -> None:
    assert len(a) == len(b)
    np.testing.assert_allclose(a.scores, b.scores, atol=1e-4)
    np.testing.assert_allclose(a.boxes, b.boxes, atol=pixels)
    np.testing.assert_allclose(a.landmarks, b.landmarks, atol=pixels)


def test_engine_and_pytorch_give_the_same_outputs(trained: Path, model_file: Path) -> None:
    ours, theirs = load_detector(model_file, 1), torch_detector(*open_detector(trained))
    assert (ours.height, ours.width) == (theirs.height, theirs.width) == (SIZE, SIZE)
    np.testing.assert_array_equal(ours.mean, theirs.mean)
    np.testing.assert_array_equal(ours.std, theirs.std)
    for scene in SCENES[:2]:
        x, _ = letterbox(scene.read()[0], SIZE, SIZE, ours.mean, ours.std)
        for got, expected in zip(ours.network(x), theirs.network(x), strict=True):
            assert relative_error(got, expected) < 1e-4


def test_detect_draws_and_lists(model_file: Path, tmp_path: Path) -> None:
    image, _ = draw_scenes(1, 160, seed=4)[0].read()
    image.crop((0, 0, 160, 100)).save(tmp_path / "in.png")
    command = ["detect", str(model_file), str(tmp_path / "in.png"), "--threads", "1", "--min-score", "0"]
    result = CliRunner().invoke(main, [*command, "--json", "-o", str(tmp_path / "out.png")])
    assert result.exit_code == 0, result.output
    faces = json.loads(result.stdout)
    assert faces
    assert set(faces[0]["landmarks"]) == {
        "left eye",
        "right eye",
        "nose",
        "left mouth corner",
        "right mouth corner",
    }
    assert all(
        0 <= f["box"][0] <= f["box"][2] <= 160 and 0 <= f["box"][1] <= f["box"][3] <= 100 for f in faces
    )
    with Image.open(tmp_path / "out.png") as drawn, Image.open(tmp_path / "in.png") as before:
        assert drawn.size == (160, 100)
        assert drawn.tobytes() != before.tobytes()
    text = CliRunner().invoke(main, command).stdout
    assert text.startswith(f"{len(faces)} faces in")
    nothing = CliRunner().invoke(main, [*command[:-1], "1"])
    assert nothing.stdout.startswith("0 faces in")


@pytest.mark.parametrize(
    "image, output, message",
    [
        ("none.png", "out.png", "none.png: no such file"),
        ("text.png", "out.png", "text.png: not an image"),
        ("in.png", "out.xyz", "out.xyz: unknown kind of image '.xyz'"),
        ("in.png", "nowhere/out.png", "out.png: cannot be written"),
    ],
)
def test_detect_on_bad_input(model_file: Path, tmp_path: Path, image: str, output: str, message: str) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "in.png")
    (tmp_path / "text.png").write_text("no image")
    result = CliRunner().invoke(
        main,
        ["detect", str(model_file), str(tmp_path / image), "-o", str(tmp_path / output), "--threads", "1"],
    )
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_detect_needs_pillow(model_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    result = CliRunner().invoke(main, ["detect", str(model_file), "in.png"])
    assert result.exit_code == 2
    assert "needs the extra 'images'" in result.stderr


def test_another_network_is_no_detector() -> None:
    golden = Path(__file__).parents[2] / "sparsenet" / "golden" / "tiny_f32.safetensors"
    with pytest.raises(InputError, match="this is no face detector"):
        detector_of(load(golden, threads=1))


def test_prunable_layers_are_those_of_the_benchmarks() -> None:
    model = build_detector(NAME)
    names = prunable_layers(model)
    assert not [n for n in names if "heads" in n]
    assert len([n for n in names if n.startswith(("fpn.", "ssh."))]) == 5 + 3 * 5
    weights = dict(model.named_modules())
    assert all(weights[n].groups == 1 for n in names)
    assert sum(weights[n].weight.numel() for n in names) == 402_304


def test_splits_are_halves_that_repeat() -> None:
    tuning, testing = split(SCENES, 0.5, 0)
    assert len(tuning) == len(testing) == 4
    assert {i.name for i in tuning} | {i.name for i in testing} == {i.name for i in SCENES}
    assert split(SCENES[::-1], 0.5, 0) == (tuning, testing)
    assert split(SCENES, 0.5, 1) != (tuning, testing)


def test_files_of_one_photograph_fall_on_one_side_and_count_once() -> None:
    for seed in range(5):
        tuning, testing = split([*SCENES, *SCENES[:3]], 0.5, seed)
        names = [{image.name for image in side} for side in (tuning, testing)]
        assert [len(side) for side in names] == [4, 4]
        assert not names[0] & names[1]
        assert len(tuning) + len(testing) == len(SCENES) + 3


def test_the_photographs_of_the_subset_that_are_there_twice(shared_data: Path) -> None:
    folder = shared_data / "widerface_subset"
    images = load_faces(folder / "subset_gt.json", folder)
    tuning, testing = split(images, 0.5, 0)
    assert not {i.name for i in tuning} & {i.name for i in testing}
    assert len({i.name for i in images}) == 202 < len(images) == 205


@pytest.mark.slow
def test_the_table_is_made_once_and_resumed(trained: Path, tmp_path: Path) -> None:
    command = ["evaluate-detector", str(trained), "--scenes", "6", "--sparsity", "0.5", "--scope", "global",
               "--finetune", "1", "--rounds", "2", "--threads", "1", "--quiet", "--out", str(tmp_path)]  # fmt: skip
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "AP on 3 of 6 images, the other 3 for what changes weights" in result.stdout
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [row["variant"] for row in rows] == ["dense", "global-0.5", "global-0.5-finetuned"]
    assert [float(row["sparsity"]) for row in rows] == pytest.approx([0, 0.5, 0.5])
    assert [int(row["epochs"]) for row in rows] == [0, 0, 1]
    for row in rows:
        assert float(row["ms"]) > 0
        assert not row["speedup"] or float(row["speedup"]) > 0  # empty: too noisy to tell
        assert float(row["worst_score"]) < 1e-4
        assert float(row["easy"]) == pytest.approx(float(row["torch_easy"]), abs=1e-3)
    sparse = load(tmp_path / "global-0.5-finetuned.engine.safetensors", threads=1)
    assert detector_of(sparse).height == SIZE
    before = {p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir() if not p.name.startswith("table")}
    again = CliRunner().invoke(main, [*command, "--no-latency", "--json"])
    assert again.exit_code == 0, again.output
    assert [row["latency"] for row in json.loads(again.stdout)["rows"]] == [None] * 3
    assert before == {
        p.name: p.stat().st_mtime_ns for p in tmp_path.iterdir() if not p.name.startswith("table")
    }
    refused = CliRunner().invoke(main, [*command, "--seed", "1"])
    assert refused.exit_code == 2
    assert "holds figures with other images, seed, finetune: name another folder by --out" in refused.stderr


def test_sparsities_that_make_no_sense(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sparsities must be in \[0, 1\)"):
        Sweep(build_detector(NAME), INFO, SCENES, GroundTruth.of(SCENES), SweepConfig((1.0,)), tmp_path)


@pytest.mark.slow
def test_the_published_weights_reach_their_figures(shared_data: Path, tmp_path: Path) -> None:
    """WIDERFACE's protocol on the subset, in the engine; PyTorch sees the same faces on some of its images.

    The figures are those of all images, and of every eighth.
    """
    folder = shared_data / "widerface_subset"
    weights = shared_data / "retinaface_mobilenet025" / "mobilenet0.25_Final.pth"
    images = load_faces(folder / "subset_gt.json", folder)[:: 1 if FULL else 8]
    convert(weights, tmp_path / "model.safetensors", measure_speed=False, threads=1)
    found = find_faces(load_detector(tmp_path / "model.safetensors", 1), images, progress=False)
    ap = average_precision(
        {name: (faces.boxes, faces.scores) for name, faces in found.items()},
        GroundTruth.load(folder / "gt").restricted(found),
    )
    least = (0.825, 0.724, 0.441) if FULL else (0.840, 0.760, 0.540)
    assert all(figure >= wanted for figure, wanted in zip((ap.easy, ap.medium, ap.hard), least, strict=True))
    torch.set_num_threads(1)
    model, info = open_detector(weights)
    assert isinstance(model, RetinaFace)
    some = images[:: len(images) // (10 if FULL else 5)]
    for name, faces in find_faces(torch_detector(model, info), some, progress=False).items():
        assert_same(found[name], faces, 0.05)
