"""Training on drawn scenes: the loss falls, masks and frozen parts hold, a killed run ends as if it had not been."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from sparsenet.errors import CheckpointError, DataError, InputError
from training.checkpoint import load_model, save_model
from training.cli.train_detector import train_detector as train_command
from training.detection.boxes import BOX, LABEL
from training.detection.config import DetectionConfig
from training.detection.distill import TeacherLoss
from training.detection.drawn import draw_scenes
from training.detection.loss import MultitaskLoss
from training.detection.published import detector_info, load_backbone, open_detector
from training.detection.train import batches, train_detector
from training.models import ResNet50, build_detector
from training.pruning import find_masks

NAME, SIZE = "retinaface-mobilenet0.25", 64
SMALL = "ssd-mobilenet0.25"
INFO = detector_info(NAME, SIZE)
SCENES = draw_scenes(8, SIZE, seed=1)
CONFIG = DetectionConfig(epochs=2, batch_size=4, size=SIZE, lr=2e-3, clip_norm=10.0, optimizer="adamw")


def same_weights(a: torch.nn.Module, b: torch.nn.Module) -> bool:
    return all(
        torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("optimizer, share", [("sgd", 0.85), ("adamw", 0.6)])
def test_the_loss_falls(optimizer: str, share: float) -> None:
    config = DetectionConfig(
        epochs=8, batch_size=4, size=SIZE, lr=3e-3, optimizer=optimizer, clip_norm=100.0, scales=(1.0,)
    )
    result = train_detector(build_detector(NAME), SCENES[:8], config, INFO, progress=False)
    losses = [record.loss for record in result.history]
    assert len(losses) == 8
    assert min(losses[-2:]) < share * losses[0]
    assert not result.model.training


def test_the_learning_rate_decays_twice() -> None:
    config = DetectionConfig(epochs=10, batch_size=2, size=SIZE, lr=1e-4)
    result = train_detector(build_detector(NAME), SCENES[:2], config, INFO, progress=False)
    rates = [record.lr for record in result.history]
    assert rates[:7] == [1e-4] * 7
    assert rates[7:] == pytest.approx([1e-5, 1e-5, 1e-6])


def test_batches_depend_on_seed_and_epoch_alone() -> None:
    first, again = (next(iter(batches(SCENES, CONFIG, INFO, epoch=1))) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = next(iter(batches(SCENES, CONFIG, INFO, epoch=2)))
    assert not torch.equal(first[0], other[0])
    x, targets = first
    assert x.shape == (4, 3, SIZE, SIZE)
    faces = targets[targets[..., LABEL] != 0]
    assert len(faces) >= 4
    assert (faces[:, BOX] >= 0).all()
    assert (faces[:, BOX] <= SIZE).all()


def test_the_model_given_is_left_alone_and_frozen_parts_stay() -> None:
    model = build_detector(NAME)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    config = DetectionConfig(epochs=1, batch_size=4, size=SIZE, freeze=("backbone.*",))
    after = train_detector(model, SCENES, config, INFO, progress=False).model.state_dict()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"fpn", "ssh", "class_heads", "box_heads", "landmark_heads"}


def test_frozen_statistics() -> None:
    model = build_detector(NAME)
    config = DetectionConfig(epochs=1, batch_size=4, size=SIZE, freeze_statistics=True)
    after = train_detector(model, SCENES, config, INFO, progress=False).model.state_dict()
    for name, value in model.state_dict().items():
        if "running" in name:
            assert torch.equal(value, after[name])


def test_masks_hold() -> None:
    model = build_detector(NAME)
    masks = find_masks(model, "l1", sparsity=0.8, include=["fpn.*", "ssh.*"])
    trained = train_detector(model, SCENES, CONFIG, INFO, hooks=[masks], progress=False).model
    masks.check(trained)
    assert not same_weights(model, trained)


def test_a_teacher_pulls_the_student_towards_itself() -> None:
    teacher, student = build_detector(NAME, seed=0), build_detector(NAME, seed=5)
    multitask = MultitaskLoss(SIZE, SIZE)
    loss = TeacherLoss(teacher, multitask)
    x, targets = next(iter(batches(SCENES, CONFIG, INFO)))
    teacher.eval()
    student.eval()
    with torch.no_grad():
        own, others = teacher(x), student(x)
        assert loss.distance(own, own) == pytest.approx(0.0, abs=1e-6)
        assert loss.distance(others, own) > 0
        assert loss(others, targets, x) == loss.distance(others, own)
        both = TeacherLoss(teacher, multitask, annotations=0.5)(others, targets, x)
        assert both == pytest.approx(float(loss.distance(others, own) + 0.5 * multitask(others, targets)))


def test_an_interrupted_run_continues_exactly(tmp_path: Path) -> None:
    whole = train_detector(build_detector(NAME), SCENES, CONFIG, INFO, progress=False)

    class StopError(Exception):
        pass

    def stop(_: object) -> None:
        raise StopError

    with pytest.raises(StopError):
        train_detector(
            build_detector(NAME),
            SCENES,
            CONFIG,
            INFO,
            checkpoint=tmp_path / "c",
            progress=False,
            on_epoch=stop,
        )
    resumed = train_detector(
        build_detector(NAME), SCENES, CONFIG, INFO, checkpoint=tmp_path / "c", progress=False
    )
    assert resumed.history == whole.history
    assert same_weights(resumed.model, whole.model)


def test_checkpoints_of_another_run(tmp_path: Path) -> None:
    config = DetectionConfig(epochs=1, batch_size=4, size=SIZE)
    train_detector(build_detector(NAME), SCENES, config, INFO, checkpoint=tmp_path / "c", progress=False)
    with pytest.raises(CheckpointError, match="its config is"):
        train_detector(build_detector(NAME), SCENES, CONFIG, INFO, checkpoint=tmp_path / "c", progress=False)
    with pytest.raises(CheckpointError, match="its images is 8, now 4"):
        train_detector(
            build_detector(NAME), SCENES[:4], config, INFO, checkpoint=tmp_path / "c", progress=False
        )


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"lr": 0.0}, {"size": 8}, {"optimizer": "lion"}, {"scales": (2.0,)}, {"scales": ()}],
)
def test_settings_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        DetectionConfig(**wrong)  # type: ignore[arg-type]


def test_nothing_to_train() -> None:
    with pytest.raises(DataError, match="no images"):
        train_detector(build_detector(NAME), [], CONFIG, INFO)
    with pytest.raises(InputError, match="freezes every parameter"):
        train_detector(build_detector(NAME), SCENES, DetectionConfig(size=SIZE, freeze=("*",)), INFO)


def test_a_loss_that_explodes_is_reported() -> None:
    config = DetectionConfig(epochs=3, batch_size=4, size=SIZE, lr=1e12)
    with pytest.raises(DataError, match=r"the loss became \w+ at step \d+: try a lower learning rate"):
        train_detector(build_detector(NAME), SCENES, config, INFO, progress=False)


def arguments(output: Path, *more: str) -> list[str]:
    return [NAME, "--scenes", "6", "--size", str(SIZE), "--epochs", "6", "--batch-size", "2", "--lr", "1e-4",
            "--threads", "1", "-o", str(output), *more]  # fmt: skip


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    """SIGKILL after one epoch: started again it goes on with the next epoch, to the same last bit."""
    whole, resumed, checkpoint = (
        tmp_path / "whole.safetensors",
        tmp_path / "resumed.safetensors",
        tmp_path / "c",
    )
    again = arguments(resumed, "--checkpoint", str(checkpoint))
    killed = subprocess.run(
        [sys.executable, "-m", "tests.killed", "1", "train-detector", *again],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not resumed.exists()
    for command in (again, arguments(whole, "--json")):
        result = CliRunner().invoke(train_command, command)
        assert result.exit_code == 0, result.output
        assert ("epoch 1:" in result.stderr) == (command is not again)
        assert "epoch 6:" in result.stderr
    assert same_weights(load_model(whole)[0], load_model(resumed)[0])
    report = json.loads(result.stdout)
    assert report["images"] == 6
    assert len(report["loss"]) == 6


def test_zeros_of_pruned_weights_stay_while_a_teacher_is_followed(tmp_path: Path) -> None:
    teacher, pruned = build_detector(SMALL, seed=0), build_detector(SMALL, seed=0)
    masks = find_masks(pruned, "l1", sparsity=0.8)
    masks.finalize(pruned)
    info = detector_info(SMALL, SIZE)
    paths = [tmp_path / f"{name}.safetensors" for name in ("teacher", "pruned", "tuned", "plain")]
    save_model(paths[0], teacher, info)
    save_model(paths[1], pruned, info)
    command = [SMALL, "--start", str(paths[1]), "--scenes", "4", "--size", str(SIZE), "--epochs", "2", "--lr", "1e-4",
               "--optimizer", "adamw", "--threads", "1", "--quiet", "--json", "-o"]  # fmt: skip
    losses = []
    for path, options in ((paths[2], ["--teacher", str(paths[0])]), (paths[3], [])):
        result = CliRunner().invoke(train_command, [*command, str(path), *options])
        assert result.exit_code == 0, result.output
        losses.append(json.loads(result.stdout)["loss"][0])
        tuned = load_model(path)[0]
        masks.check(tuned)
        assert not same_weights(tuned, pruned)
    assert losses[0] != pytest.approx(losses[1], rel=0.1)


def test_weights_files(tmp_path: Path) -> None:
    model = build_detector(NAME, seed=3)
    save_model(tmp_path / "w.safetensors", model, INFO)
    loaded, info = open_detector(tmp_path / "w.safetensors")
    assert info == INFO
    assert same_weights(model, loaded)
    assert open_detector(tmp_path / "w.safetensors", 96)[1].input_size == 96
    with pytest.raises(CheckpointError, match="no such file"):
        open_detector(tmp_path / "none.pth")
    torch.save({"x": torch.zeros(2)}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="fit none of retinaface-resnet50"):
        open_detector(tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(CheckpointError, match="is damaged"):
        open_detector(tmp_path / "text.pth")


def test_a_backbone_from_a_classifier(tmp_path: Path) -> None:
    classifier = ResNet50(num_classes=10)
    torch.save(classifier.state_dict(), tmp_path / "resnet50.pth")
    model = build_detector("retinaface-resnet50", seed=9)
    load_backbone(model, tmp_path / "resnet50.pth")
    assert torch.equal(model.backbone.layer3[0].conv2.weight, classifier.layer3[0].conv2.weight)
    with pytest.raises(CheckpointError, match="does not fit the backbone"):
        load_backbone(build_detector(NAME), tmp_path / "resnet50.pth")
