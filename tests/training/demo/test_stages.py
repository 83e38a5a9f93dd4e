"""Networks of the demo: trained once, found again, continued, replaced by given ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsenet.errors import CheckpointError, InputError
from tests.training.tiny_images import tiny_images
from training.checkpoint import ModelInfo, save_model
from training.data.images import LabeledImages
from training.demo import stages
from training.demo.settings import DemoSettings, Schedules, recipes
from training.demo.stages import StageTrainer, Trained, given_weights, spared_layers
from training.models import build_model
from training.pruning import Masks

TINY = Schedules(teacher=((32, 2),), student=((32, 1),), prune=((32, 2),))


def settings(out: Path, **changes: Any) -> DemoSettings:
    values: dict[str, Any] = {
        "teacher": "minixception-128",
        "student": "minixception-128",
        "schedules": TINY,
        "progress": False,
    }
    return DemoSettings(out=out, **values | changes)


def make_all(
    asked: DemoSettings,
    images: LabeledImages | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Trained]:
    plan = recipes(asked)
    given = {r.key: found for r in plan if (found := given_weights(asked, r)) is not None}
    trainer = StageTrainer(asked, images or tiny_images(64), tiny_images(8, seed=1), given, say)
    return {recipe.key: trainer.make(recipe) for recipe in plan}


def weights(trained: Trained) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trained.model.parameters()])


def reused(made: dict[str, Trained]) -> list[str]:
    return [key for key, trained in made.items() if trained.reused]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[DemoSettings, dict[str, Trained]]:
    asked = settings(tmp_path_factory.mktemp("finished"))
    return asked, make_all(asked)


def test_five_networks_are_made_and_saved(finished: tuple[DemoSettings, dict[str, Trained]]) -> None:
    asked, made = finished
    assert list(made) == ["teacher", "scratch", "scratch-pruned", "distilled", "distilled-pruned"]
    assert reused(made) == []
    assert {p.name for p in (asked.out / "weights").iterdir()} == {f"{key}.safetensors" for key in made}
    assert not torch.equal(weights(made["scratch"]), weights(made["distilled"]))


def test_pruned_ones_reach_the_sparsity_as_a_whole_and_spare_the_delicate_layers(
    finished: tuple[DemoSettings, dict[str, Trained]],
) -> None:
    for key in ("scratch-pruned", "distilled-pruned"):
        model = finished[1][key].model
        masks, spared = Masks.from_zeros(model), spared_layers(model)
        assert spared
        assert masks.sparsity == pytest.approx(0.8, abs=0.002)
        for name, density in masks.density_per_layer().items():
            layer = name.removesuffix(".weight")
            assert density == 1 if layer in spared else density == pytest.approx(0.2, abs=0.03), name
    assert Masks.from_zeros(finished[1]["distilled"].model).sparsity == 0


def test_history_tells_epochs_and_the_rise_of_sparsity(
    finished: tuple[DemoSettings, dict[str, Trained]],
) -> None:
    made = finished[1]
    assert [epoch.epoch for epoch in made["teacher"].epochs] == [1, 2]
    assert all(epoch.macro_f1 is not None and epoch.size == 32 for epoch in made["teacher"].epochs)
    assert [epoch.sparsity for epoch in made["teacher"].epochs] == [0, 0]
    first, last = (epoch.sparsity for epoch in made["distilled-pruned"].epochs)
    assert 0.5 < first < last == 0.8


def test_a_second_run_uses_all_of_it_again(finished: tuple[DemoSettings, dict[str, Trained]]) -> None:
    asked, made = finished
    again = make_all(asked)
    assert reused(again) == list(made)
    for key, trained in again.items():
        assert torch.equal(weights(trained), weights(made[key]))
        assert trained.epochs == made[key].epochs


def copy_of(finished: tuple[DemoSettings, dict[str, Trained]], out: Path) -> Path:
    (out / "weights").mkdir(parents=True)
    for trained in finished[1].values():
        (out / "weights" / trained.path.name).write_bytes(trained.path.read_bytes())
    return out


def test_only_what_a_change_touches_is_trained_again(
    finished: tuple[DemoSettings, dict[str, Trained]], tmp_path: Path
) -> None:
    out = copy_of(finished, tmp_path / "out")
    made = make_all(settings(out, block=(1, 4)))
    assert reused(made) == ["teacher", "scratch", "distilled"]
    pruned = made["distilled-pruned"]
    assert pruned.info.notes["block"] == "1x4"
    assert Masks.from_zeros(pruned.model).sparsity == pytest.approx(0.8, abs=0.002)
    pointwise = [
        m.weight for m in pruned.model.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (1, 1)
    ]
    assert all(part.ne(0).all(1).eq(part.ne(0).any(1)).all() for w in pointwise for part in w.split(4, dim=1))
    assert reused(make_all(settings(out, block=(1, 4), alpha=0.3))) == [
        "teacher",
        "scratch",
        "scratch-pruned",
    ]


def test_other_images_train_everything_again(
    finished: tuple[DemoSettings, dict[str, Trained]], tmp_path: Path
) -> None:
    out = copy_of(finished, tmp_path / "out")
    assert reused(make_all(settings(out), tiny_images(64, seed=5))) == []


def test_a_damaged_file_is_trained_again(
    finished: tuple[DemoSettings, dict[str, Trained]], tmp_path: Path
) -> None:
    out = copy_of(finished, tmp_path / "out")
    (out / "weights" / "scratch-pruned.safetensors").write_bytes(b"damaged")
    assert "scratch-pruned" not in reused(make_all(settings(out)))


def test_an_interrupted_training_continues_to_the_same_weights(
    finished: tuple[DemoSettings, dict[str, Trained]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole_training = stages.train

    def interrupted(*args: Any, **options: Any) -> Any:
        whole_training(*args, **options, stop_after_steps=3)  # the teacher's second epoch
        raise KeyboardInterrupt

    asked = settings(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(stages, "train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            make_all(asked)
    assert [p.suffix for p in (tmp_path / "weights").iterdir()] == [".checkpoint"]

    said: list[str] = []
    made = make_all(asked, say=said.append)
    assert any("continues" in line for line in said)
    assert reused(made) == ["teacher"]
    for key, trained in made.items():
        assert torch.equal(weights(trained), weights(finished[1][key]))
    assert [epoch.epoch for epoch in made["teacher"].epochs] == [1, 2]
    assert not list((tmp_path / "weights").glob("*.checkpoint"))


def test_given_weights_are_used_and_the_rest_is_trained(
    finished: tuple[DemoSettings, dict[str, Trained]], tmp_path: Path
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    for key in ("teacher", "distilled"):
        (given / f"{key}.safetensors").write_bytes(finished[1][key].path.read_bytes())
    made = make_all(settings(tmp_path / "out", weights=given))
    assert reused(made) == ["teacher", "distilled"]
    assert made["teacher"].reused == f"given: {given / 'teacher.safetensors'}"
    assert torch.equal(weights(made["distilled"]), weights(finished[1]["distilled"]))
    assert not (tmp_path / "out" / "weights" / "teacher.safetensors").exists()


def give(folder: Path, model: str, classes: tuple[str, ...]) -> Path:
    folder.mkdir()
    save_model(
        folder / "teacher.safetensors", build_model(model, len(classes)), ModelInfo(model, classes, 32)
    )
    return folder


def test_given_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    given = give(tmp_path / "given", "minixception-128-256", ("a", "b", "c", "d"))
    with pytest.raises(InputError, match=r"holds a 'minixception-128-256'.*use a 'minixception-128'"):
        make_all(settings(tmp_path, weights=given))


def test_given_weights_of_other_classes_are_refused(tmp_path: Path) -> None:
    given = give(tmp_path / "given", "minixception-128", ("cat", "dog"))
    with pytest.raises(InputError, match="tells apart cat, dog; the images are a, b, c, d"):
        make_all(settings(tmp_path, weights=given))


def test_damaged_given_weights_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "teacher.safetensors").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"teacher\.safetensors"):
        make_all(settings(tmp_path, weights=tmp_path))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"teacher": "resnet"}, "unknown model 'resnet'"),
        ({"sparsity": 1.0}, "sparsity must be less than 1"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dataclasses.replace(settings(tmp_path), **change)
