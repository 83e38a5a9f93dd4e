"""Variants that are pruned at once: which there are, zeros that take equally long, and a sweep of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.pruning.equal_time import as_fast_as, thinned_like
from converters.pruning.layers import prepared
from converters.pruning.pattern import Pattern
from converters.pruning.prune import Pruned
from converters.pruning.thinned import thinned
from sparsenet import load_graph
from sparsenet.graph import FloatArray, Graph
from training.detection import at_once
from training.detection.at_once import AtOnce
from training.detection.config import DetectionConfig
from training.detection.drawn import draw_scenes
from training.detection.published import detector_info
from training.detection.scoring import GroundTruth
from training.detection.sweep import Sweep
from training.detection.variants import OneShot, SweepConfig, variants_of
from training.models import build_detector
from training.traces import Traces

NAME, SIDE = "ssd-mobilenet0.25", 64
INFO = detector_info(NAME, SIDE)
SCENES = draw_scenes(4, SIDE, seed=1)
TUNING = DetectionConfig(epochs=1, batch_size=2, size=SIDE, optimizer="adamw", freeze_statistics=True)


@pytest.fixture(scope="module")
def dense() -> Graph:
    return Traces().graph(build_detector(NAME, seed=1).eval(), INFO)


def zeros(graph: Graph) -> dict[str, float]:
    """The share of zeros of each layer that can be pruned."""
    made, layers = prepared(graph, ())
    return {layer.name: 1 - np.count_nonzero(made.constants[layer.weight]) / layer.size for layer in layers}


def test_names_of_variants_say_what_they_are() -> None:
    asked = OneShot(speedups=(1.5,), sparsities=(0.8,), block=(1, 4), int8=True)
    assert [variant.name for variant in variants_of(SweepConfig((0.0,), one_shot=asked))] == [
        "dense",
        "dense-int8",
        "at-once-chosen-1.5x",
        "at-once-chosen-1.5x-int8",
        "at-once-chosen-1.5x-1x4",
        "at-once-chosen-1.5x-1x4-int8",
        "at-once-layer-1.5x",
        "at-once-magnitude-1.5x",
        "at-once-chosen-0.8",
        "at-once-chosen-0.8-int8",
        "at-once-chosen-0.8-1x4",
        "at-once-chosen-0.8-1x4-int8",
    ]
    assert [variant.name for variant in variants_of(SweepConfig((0.0,), one_shot=OneShot((2.0,))))] == [
        "dense",
        "at-once-chosen-2x",
        "at-once-layer-2x",
        "at-once-magnitude-2x",
    ]
    tuned = SweepConfig((0.0,), finetune=TUNING, one_shot=OneShot((2.0,), int8=True))
    assert [variant.name for variant in variants_of(tuned)][2:] == [
        "at-once-chosen-2x",
        "at-once-chosen-2x-int8",
        "at-once-chosen-2x-finetuned",
        "at-once-chosen-2x-finetuned-int8",
        "at-once-layer-2x",
        "at-once-layer-2x-finetuned",
        "at-once-magnitude-2x",
        "at-once-magnitude-2x-finetuned",
    ]


@pytest.mark.parametrize("spread", ["layer", "magnitude"])
def test_zeros_by_a_rule_are_as_many_as_take_the_time(dense: Graph, spread: str) -> None:
    """On a machine on which a network takes as long as it has weights."""
    sizes = {layer.name: layer.size for layer in prepared(dense, ())[1]}

    def left(share: dict[str, float]) -> float:
        return sum(sizes[name] * (1 - share[name]) for name in sizes) / sum(sizes.values())

    found = as_fast_as(lambda graph: 0.4 / left(zeros(graph)), dense, spread, ["class_heads.*"])  # type: ignore[arg-type]
    kept = left({name: found.get(name, 0.0) for name in sizes})
    assert 1 / kept == pytest.approx(2.5, rel=0.01)
    assert not [name for name in found if name.startswith("class_heads")]
    if spread == "layer":
        assert len(set(found.values())) == 1
    else:  # one threshold for all: the largest weight that goes is no larger than the smallest that stays
        weights = {
            name: np.sort(np.abs(dense.constants[w]).ravel())
            for name, w in _weights(dense).items()
            if name in found
        }
        gone = {name: round(found[name] * len(w)) for name, w in weights.items()}
        assert max(w[gone[n] - 1] for n, w in weights.items() if gone[n]) <= min(
            w[gone[n]] for n, w in weights.items() if gone[n] < len(w)
        )


def test_what_is_timed_has_as_many_zeros_as_what_was_made(dense: Graph) -> None:
    made, rng = dense.copy(), np.random.default_rng(0)
    for number, weight in enumerate(_weights(dense).values()):
        made.constants[weight] = np.where(
            rng.random(dense.constants[weight].shape) < number / 60, 0, dense.constants[weight]
        )
    assert zeros(thinned_like(dense, made)) == pytest.approx(zeros(made))


def _weights(graph: Graph) -> dict[str, str]:
    return {layer.name: layer.weight for layer in prepared(graph, ())[1]}


def test_a_sweep_prunes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    def prune(graph: Graph, batches: list[FloatArray], sparsity: float, **_: object) -> Pruned:
        seen.append(len(batches))
        made, layers = prepared(graph, ())
        alike = dict.fromkeys((layer.name for layer in layers), sparsity)
        return Pruned(thinned(made, alike, layers, Pattern()), [], made)

    monkeypatch.setattr(AtOnce, "timer", None)
    monkeypatch.setattr(at_once, "prune", prune)
    config = SweepConfig((0.0,), one_shot=OneShot(sparsities=(0.6,), samples=1), compare=False)
    sweep = Sweep(
        build_detector(NAME, seed=1), INFO, SCENES, GroundTruth.of(SCENES), config, tmp_path, 1, False
    )
    assert len(sweep.tuning) == len(sweep.testing) == 2
    rows = {row.variant: row for row in sweep.run()}
    assert seen == [1]
    pruned = rows["at-once-chosen-0.6"]
    sizes = [layer.size for layer in prepared(load_graph(sweep.model_file(pruned.variant)), ())[1]]
    assert pruned.weights - pruned.total_nnz == pytest.approx(0.6 * sum(sizes), abs=len(sizes))
    assert pruned.prunable < pruned.weights
    assert (pruned.images, pruned.all, pruned.torch) == (2, None, None)
    tuned = replace(
        config, finetune=TUNING, one_shot=OneShot(sparsities=(0.6,), samples=1, int8=True), compare=True
    )
    sweep = Sweep(
        build_detector(NAME, seed=1),
        INFO,
        SCENES,
        GroundTruth.of(SCENES),
        tuned,
        tmp_path / "tuned",
        1,
        False,
    )
    rows = {row.variant: row for row in sweep.run()}
    finetuned = rows["at-once-chosen-0.6-finetuned"]
    assert (finetuned.epochs, rows["at-once-chosen-0.6-finetuned-int8"].epochs) == (1, 1)
    assert finetuned.total_nnz == rows["at-once-chosen-0.6"].total_nnz
    assert finetuned.worst is not None
    assert finetuned.worst < 1e-4
    before, after = (
        load_graph(sweep.model_file(name)).constants for name in ("at-once-chosen-0.6", finetuned.variant)
    )
    weights = [name for name in before if before[name].ndim == 4]
    assert all(np.array_equal(before[name] == 0, after[name] == 0) for name in weights)
    assert not all(np.array_equal(before[name], after[name]) for name in weights)
    again = replace(config, files=(sweep.model_file(pruned.variant),))
    sweep = Sweep(
        build_detector(NAME, seed=1), INFO, SCENES, GroundTruth.of(SCENES), again, tmp_path, 1, False
    )
    same = sweep.run()[-1]
    assert same.variant == f"file-{pruned.variant}.engine"
    assert (same.test, same.nnz) == (pruned.test, pruned.nnz)
    assert seen == [1, 1]
