"""The training loop: it learns, repeats, resumes exactly, stops early, prunes, and is the same on two processes."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch

from sparsenet.errors import CheckpointError, DataError, InputError
from tests.training.distributed_train import main as train_alone
from tests.training.tiny_images import tiny_images
from training.checkpoint import load_checkpoint
from training.distill import Distillation
from training.evaluate import evaluate
from training.loop.config import TrainConfig
from training.loop.run import Hook, TrainResult
from training.models import build_model
from training.pruning import DropSchedule, DynamicSparsity, GradualPruner, PolynomialSchedule, find_masks
from training.train import train

ROOT = Path(__file__).resolve().parents[2]
# No mirroring: the class is where the bright quadrant lies.
STILL = {"degrees": 0.0, "flip": False, "translate": 0.02, "scale": (1.0, 1.05)}
CONFIG = TrainConfig(stages=((32, 3),), batch_size=8, lr=2e-3, precision="fp32", seed=7, augment=STILL)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def model() -> torch.nn.Module:
    return build_model("minixception-128", 4, seed=1)


def weights(result: TrainResult) -> dict[str, torch.Tensor]:
    return result.model.state_dict()


def same(a: TrainResult, b: TrainResult) -> bool:
    return a.history == b.history and all(torch.equal(x, weights(b)[name]) for name, x in weights(a).items())


def test_it_learns() -> None:
    config = dataclasses.replace(CONFIG, stages=((16, 4), (32, 10)), ema=0.9)
    seen = []
    result = train(model(), tiny_images(48), config, progress=False, on_epoch=seen.append)
    assert [record.size for record in result.history] == [16] * 4 + [32] * 10
    assert seen == result.history
    assert result.history[-1].train_loss < 0.7 * result.history[0].train_loss
    assert evaluate(result.model, tiny_images(24, seed=9), 32).accuracy > 0.6


def test_the_given_model_is_left_as_it_was() -> None:
    given = model()
    before = {name: tensor.clone() for name, tensor in given.state_dict().items()}
    train(given, tiny_images(16), dataclasses.replace(CONFIG, stages=((16, 1),)), progress=False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in given.state_dict().items())


def pruner(target: torch.nn.Module, structured: Literal["output"] | None = None) -> GradualPruner:
    return GradualPruner(target, PolynomialSchedule(0.3, 0.8, 0, 6), structured=structured)


def tightening() -> GradualPruner:
    return pruner(model())


def moving() -> DynamicSparsity:
    masks = find_masks(model(), "random", 0.8, scope="layer", block=(1, 4))
    return DynamicSparsity(masks, DropSchedule(5, every=1))


@pytest.mark.parametrize("hook, stop", [(tightening, 1), (tightening, 2), (tightening, 5), (moving, 3)])
def test_an_interrupted_run_ends_with_the_same_result(
    tmp_path: Path, hook: Callable[[], Hook], stop: int
) -> None:
    """Killed within and between epochs (2 steps each), with pruning and validation under way."""
    data, validation = tiny_images(16), tiny_images(8, seed=4)
    whole = train(model(), data, CONFIG, hooks=[hook()], validation=validation, progress=False)
    path = tmp_path / "run.ckpt"
    options = {"validation": validation, "checkpoint": path, "progress": False}
    train(model(), data, CONFIG, hooks=[hook()], stop_after_steps=stop, **options)  # type: ignore[arg-type]
    torch.rand(5)  # what another process would have drawn meanwhile
    resumed = train(model(), data, CONFIG, hooks=[hook()], **options)  # type: ignore[arg-type]
    assert same(whole, resumed)


def test_what_grows_starts_anew_and_the_average_is_as_sparse(tmp_path: Path) -> None:
    """After steps that each move the masks, what is zero has neither moments nor a part in the average."""
    hook, path = moving(), tmp_path / "run.ckpt"
    before = hook.masks
    train(model(), tiny_images(16), CONFIG, hooks=[hook], checkpoint=path, stop_after_steps=4, progress=False)
    assert hook.masks != before
    state = load_checkpoint(path)
    moments = state["optimizer"]["state"]
    decayed = [name for name, parameter in model().named_parameters() if parameter.ndim > 1]
    for number, name in enumerate(decayed):
        zero = state["model"][name] == 0
        assert torch.all(zero[~hook.masks[name]])
        for tensor in (state["average"][name], moments[number]["exp_avg"], moments[number]["exp_avg_sq"]):
            assert not tensor[zero].any()
            assert tensor[~zero].any()


@pytest.mark.parametrize("structured", [None, "output"])
def test_pruned_weights_stay_zero_in_the_average(structured: Literal["output"] | None) -> None:
    hook = pruner(model(), structured)
    result = train(model(), tiny_images(16), CONFIG, hooks=[hook], progress=False)
    assert hook.masks is not None
    assert hook.masks.sparsity == pytest.approx(0.8, abs=0.01 if structured is None else 0.05)
    for name, mask in hook.masks.items():
        assert torch.all(weights(result)[name][~mask.bool()] == 0)


def test_distillation_is_a_loss_like_any_other() -> None:
    loss = Distillation([(model(), 32)], temperature=4.0, alpha=0.5)
    result = train(model(), tiny_images(16), CONFIG, loss=loss, progress=False)
    assert len(result.history) == 3


def test_early_stopping_returns_the_best_epoch() -> None:
    config = dataclasses.replace(CONFIG, stages=((32, 12),), lr=1e-6, patience=2)
    result = train(model(), tiny_images(16), config, validation=tiny_images(8), progress=False)
    assert result.stopped_early
    assert len(result.history) < 12
    best = max(record.val_macro_f1 or 0 for record in result.history)
    assert evaluate(result.model, tiny_images(8), 32).macro_f1 == pytest.approx(best)
    with pytest.raises(InputError, match="early stopping needs validation"):
        train(model(), tiny_images(16), config, progress=False)


def test_checkpoints_of_another_run_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.ckpt"
    train(model(), tiny_images(16), CONFIG, checkpoint=path, stop_after_steps=1, progress=False)
    with pytest.raises(CheckpointError, match="of another run: its config"):
        train(model(), tiny_images(16), dataclasses.replace(CONFIG, lr=1e-3), checkpoint=path, progress=False)
    with pytest.raises(CheckpointError, match="of another run: its images is 16, now 20"):
        train(model(), tiny_images(20), CONFIG, checkpoint=path, progress=False)
    with pytest.raises(CheckpointError, match="does not fit this model"):
        train(
            build_model("minixception-128-256", 4), tiny_images(16), CONFIG, checkpoint=path, progress=False
        )


def test_bad_settings() -> None:
    for options in (
        {"stages": ()},
        {"stages": ((8, 1),)},
        {"batch_size": 1},
        {"lr": 0.0},
        {"precision": "int8"},
    ):
        with pytest.raises(InputError):
            TrainConfig(**options)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="cannot train on 1 images"):
        train(model(), tiny_images(1), CONFIG, progress=False)


def test_a_model_of_one_size_is_not_trained_at_another() -> None:
    config = TrainConfig(stages=((124, 1), (128, 1)), batch_size=4)
    with pytest.raises(
        InputError, match="MaskCNN takes images of 124×124 pixels alone, got the stages 124:1, 128:1"
    ):
        train(build_model("maskcnn", 4), tiny_images(8), config, progress=False)


def test_processes_share_a_batch_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accelerate.Accelerator.num_processes", 3)
    with pytest.raises(InputError, match="4 images cannot be shared out evenly among 3 processes"):
        train(model(), tiny_images(8), TrainConfig(stages=((32, 1),), batch_size=4), progress=False)


@pytest.mark.slow
def test_two_processes_train_the_same_network_as_one(tmp_path: Path) -> None:
    """gloo, global batch norm statistics, the same global batches: equal up to the order of float32 sums."""
    script = Path(__file__).with_name("distributed_train.py")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    train_alone(str(one))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*launcher, str(script), str(two)], check=True, env=environment, timeout=300)
    a, b = torch.load(one, weights_only=True), torch.load(two, weights_only=True)
    assert b["losses"] == pytest.approx(a["losses"], rel=1e-4)
    # Weights that batch norm makes irrelevant (conv biases) drift apart under Adam; what the network says does not.
    assert torch.allclose(a["logits"], b["logits"], atol=1e-2 * float(a["logits"].abs().max()))


def test_a_later_first_step_takes_the_rest_of_the_training(tmp_path: Path) -> None:
    """The images and learning rates of the steps left; a checkpoint of it is not one of a whole run."""
    data, seen = tiny_images(16), []

    class Spy:
        def after_step(self, step: int, model: torch.nn.Module) -> None:
            seen.append(step)

        def state_dict(self) -> dict:
            return {}

        def load_state_dict(self, state: dict) -> None:
            pass

    options = {"hooks": [Spy()], "checkpoint": tmp_path / "c", "progress": False, "first_step": 3}
    train(model(), data, CONFIG, stop_after_steps=1, **options)  # type: ignore[arg-type]
    result = train(model(), data, CONFIG, **options)  # type: ignore[arg-type]
    assert seen == [4, 5, 6]
    assert [record.epoch for record in result.history] == [2, 3]
    assert all(0.5 < record.train_loss < 3 for record in result.history)
    assert same(result, train(model(), data, CONFIG, progress=False, first_step=3, hooks=[Spy()]))
    with pytest.raises(CheckpointError, match="its first_step is 3, now 0"):
        train(model(), data, CONFIG, **options | {"first_step": 0})  # type: ignore[arg-type]
    with pytest.raises(InputError, match="cannot start at step 6"):
        train(model(), data, CONFIG, progress=False, first_step=6)
