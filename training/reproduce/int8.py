"""Zeros and eight bits together: one distilled student, whole and pruned, in float32 and in integers.

Integers come about in two ways: when all training is over, by ranges that are observed on training images, and by a
little more training with weights and activations rounded, zeros held and the same teacher (Nagel et al., arXiv
2106.08295, sections 3 and 4).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import nn

import sparsenet
from sparsenet.errors import DataError
from training.checkpoint import load_model
from training.data.images import LabeledImages, drawn_at_random
from training.demo.model_files import batches, in_integers
from training.demo.settings import recipes
from training.demo.stages import StageTrainer, Trained, given_weights
from training.distill import Distillation
from training.loop.config import TrainConfig
from training.pruning import Masks
from training.pruning.block_shape import Block
from training.quantization import calibrate, quantized, zeros_held
from training.reproduce.checkpoints import checkpoint_for
from training.reproduce.images import load_images
from training.reproduce.networks import history, judge, tested
from training.reproduce.plan import INT8_FORMS
from training.reproduce.results import Result, write_result
from training.reproduce.settings import Settings
from training.reproduce.students import TEACHER, WATCHED, demo_settings, with_sizes
from training.train import train

DISTILLED, PRUNED = "distilled", "distilled-pruned"
#: What lives and dies together; the network without zeros is "dense".
BLOCKS: dict[str, Block | None] = {"dense": None, "unstructured": None, "1x4": (1, 4)}


def prune_and_quantize(
    settings: Settings,
    images: Path,
    test: Path,
    student: str,
    teacher: Path,
    distilled: Path,
    pattern: str,
    sparsity: str,
    models: Path,
    result: Path,
) -> None:
    """Cell: one network in three model files, and what the engine makes of each on the test images.

    Args:
        settings: of the run.
        images, test: image files.
        student: name in the model zoo.
        teacher, distilled: weights of the teacher, and of the student that is pruned.
        pattern: one of ``BLOCKS``.
        sparsity: fraction of zeros of the whole network; none if the pattern is "dense".
        models: folder for the model files; weights go to a folder of the network's own beside it.
        result: file for the figures.
    """
    name = f"{pattern}-{sparsity}"
    data, judged = load_images(images), load_images(test)
    made = _network(
        settings, data, judged, student, teacher, distilled, pattern, float(sparsity), models.parent / name
    )
    files = {form: models / f"{name}-{form}.safetensors" for form in INT8_FORMS}
    forms = {"f32": judge(made.model, made.info, files["f32"], judged)}
    shown = drawn_at_random(data, settings.int8.samples, seed=0)
    graph = in_integers(
        sparsenet.load_graph(files["f32"]), shown, made.info.input_size, settings.int8.keep_float
    )
    sparsenet.save(graph, files["int8"])
    forms["int8"] = tested(files["int8"], judged, made.info.input_size)[0]
    network, epochs = _trained(settings, made, teacher, data, models.parent / "weights" / name)
    forms["trained"] = judge(
        network, dataclasses.replace(made.info, quantized=True), files["trained"], judged
    )
    zeros = Masks.from_zeros(made.model).sparsity
    write_result(
        result,
        {"pattern": pattern, "sparsity": zeros, "images": len(judged), "forms": forms, "training": epochs},
    )


def _network(
    settings: Settings,
    images: LabeledImages,
    test: LabeledImages,
    student: str,
    teacher: Path,
    distilled: Path,
    pattern: str,
    sparsity: float,
    out: Path,
) -> Trained:
    """The distilled student, or what pruning leaves of it."""
    demo = demo_settings(settings, student, out)
    if sparsity:
        demo = dataclasses.replace(demo, sparsity=sparsity, block=BLOCKS[pattern])
    plan = {recipe.key: with_sizes(recipe, settings) for recipe in recipes(demo)}
    given = {}
    for key, path in ((TEACHER, teacher), (DISTILLED, distilled)):
        found = given_weights(dataclasses.replace(demo, weights=path.parent), plan[key])
        if found is None:
            raise DataError(
                f"the weights are gone: {path}; remove the results of 'students' to train them again"
            )
        given[key] = found
    trainer = StageTrainer(demo, images, drawn_at_random(test, WATCHED, seed=0), given, say=print)
    for key in (TEACHER, DISTILLED):
        made = trainer.make(plan[key])
    return trainer.make(plan[PRUNED]) if sparsity else made


def _trained(
    settings: Settings, made: Trained, teacher: Path, images: LabeledImages, out: Path
) -> tuple[nn.Module, list[Result]]:
    """A copy that has learned to compute with bytes, its zeros held, and its epochs; checkpoints lie beside ``out``."""
    asked, students = settings.int8, settings.students
    size = made.info.input_size
    config = TrainConfig(
        stages=((size, asked.epochs),),
        batch_size=students.batch_size,
        lr=asked.lr,
        seed=students.seed,
        precision=settings.precision,
        augment=settings.augment,
    )
    network = quantized(made.model).requires_grad_(True)
    calibrate(
        network, (torch.from_numpy(x) for x in batches(drawn_at_random(images, asked.samples, seed=0), size))
    )
    guide, told = load_model(teacher)
    found = train(
        network,
        images,
        config,
        loss=Distillation([(guide, told.input_size)], students.temperature, students.alpha),
        hooks=[zeros_held(network)],
        checkpoint=checkpoint_for(out, settings, asked, students),
        progress=False,
    )
    return found.model, history(found.history)
