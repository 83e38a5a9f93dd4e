"""All ways to a faster network, each as a float32 and an int8 file that the engine is judged on.

Dense networks of narrower layers, networks pruned at once without labels, and those that training makes sparse; each
begins from the same seeds, sees the same images, and is quantized after all training by the same samples.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import sparsenet
from training.data.images import drawn_at_random
from training.demo.model_files import batches, in_integers
from training.reproduce import comparison
from training.reproduce.at_once import faster
from training.reproduce.images import load_images
from training.reproduce.networks import tested
from training.reproduce.plan import TRADEOFF_FORMS, tradeoff_files
from training.reproduce.results import Result, write_result
from training.reproduce.settings import ComparisonSettings, Settings


def train_dense(
    settings: Settings,
    images: Path,
    test: Path,
    multiplier: str,
    seed: str,
    out: Path,
    models: Path,
    result: Path,
) -> None:
    """Cell: a dense network, its layers ``multiplier`` times as wide; weights to ``out``, files to ``models``."""
    asked = settings.tradeoff.training
    model = asked.model if float(multiplier) == 1 else f"{asked.model}-x{multiplier}"
    files = _files(models, f"dense-{multiplier}-{seed}")
    found = comparison.dense(
        _trained_as(settings, dataclasses.replace(asked, model=model)),
        images,
        test,
        int(seed),
        out,
        files["f32"],
    )
    write_result(result, _both(settings, images, test, files, found))


def train_sparse(
    settings: Settings,
    images: Path,
    test: Path,
    method: str,
    sparsity: str,
    seed: str,
    out: Path,
    masks: Path,
    models: Path,
    result: Path,
    trained: Path | None = None,
    within: Path | None = None,
) -> None:
    """Cell: one method at one budget, as ``comparison.sparse``; files go to ``models``."""
    files = _files(models, f"{method}-{sparsity}-{seed}")
    found = comparison.sparse(
        _trained_as(settings, settings.tradeoff.training), images, test, method, float(sparsity), int(seed), out,
        masks, files["f32"], trained, within,
    )  # fmt: skip
    write_result(result, _both(settings, images, test, files, found))


def prune_at_once(
    settings: Settings,
    images: Path,
    test: Path,
    way: str,
    speedup: str,
    seed: str,
    dense: Path,
    models: Path,
    result: Path,
    chosen: Path | None = None,
) -> None:
    """Cell: the network of the model file ``dense`` made so many times as fast, in one of ``at_once.WAYS``.

    Or as fast as that of the file ``chosen``.
    """
    asked = settings.tradeoff
    files = _files(models, f"{way}-{speedup}-{seed}")
    shown = drawn_at_random(load_images(images), asked.samples, seed=0)
    matched = None if chosen is None else sparsenet.load_graph(chosen)
    seen = list(batches(shown, asked.training.size))
    graph = faster(sparsenet.load_graph(dense), seen, way, float(speedup), matched)
    sparsenet.save(graph, files["f32"])
    found = tested(files["f32"], load_images(test), asked.training.size)[0]
    found |= {"method": way, "sparsity": None, "epochs": asked.training.epochs, "seed": int(seed)}
    write_result(result, _both(settings, images, test, files, found))


def _trained_as(settings: Settings, asked: ComparisonSettings) -> Settings:
    return dataclasses.replace(settings, comparison=asked)


def _files(models: Path, name: str) -> dict[str, Path]:
    """Paths of a network's model files by form."""
    models.mkdir(parents=True, exist_ok=True)
    return {
        form: models / Path(file).name
        for form, file in zip(TRADEOFF_FORMS, tradeoff_files(name), strict=True)
    }


def _both(settings: Settings, images: Path, test: Path, files: dict[str, Path], found: Result) -> Result:
    """What is known of the float32 file and, now, of the int8 file made of it."""
    asked = settings.tradeoff
    shown = drawn_at_random(load_images(images), asked.samples, seed=0)
    graph = in_integers(sparsenet.load_graph(files["f32"]), shown, asked.training.size)
    sparsenet.save(graph, files["int8"])
    integers = tested(files["int8"], load_images(test), asked.training.size)[0]
    return found | {"int8": integers}
