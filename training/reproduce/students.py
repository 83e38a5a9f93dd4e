"""Tables 3 to 5 of paper 1: teacher, students from scratch and distilled, both pruned (its sections 3.2 and 4.3)."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from sparsenet.errors import DataError, InputError
from training.data.images import drawn_at_random
from training.demo.model_files import ModelFiles, scores
from training.demo.settings import DemoSettings, Recipe, Schedules, recipes
from training.demo.stages import StageTrainer, Trained, given_weights
from training.evaluate import metrics, predict
from training.models.registry import count_parameters
from training.pruning import Masks
from training.reproduce.images import load_images
from training.reproduce.networks import TRACES
from training.reproduce.plan import STUDENT_STAGES
from training.reproduce.results import write_result
from training.reproduce.settings import Settings

TEACHER = "teacher"
TEACHER_RESULT = "results/students/teacher.json"
#: Test images judged after every epoch, at most.
WATCHED = 256


def train_stage(
    settings: Settings,
    images: Path,
    test: Path,
    student: str,
    stage: str,
    out: Path,
    result: Path,
    teacher: Path | None = None,
) -> None:
    """Cell: train one stage of one student, or the teacher; convert it; test PyTorch and the engine.

    Args:
        settings: of the run.
        images, test: image files.
        student: name in the model zoo; stages that this one continues lie beside ``out``.
        stage: "teacher" or one of ``STUDENT_STAGES``.
        out: ``<folder>/weights/<stage>.safetensors``, the weights to write. Model files go to ``<folder>/models``.
        result: file for the figures.
        teacher: its weights, for every other stage.
    """
    if stage != TEACHER and teacher is None:
        raise InputError(f"stage '{stage}' needs the teacher's weights")
    train_images, test_images = load_images(images), load_images(test)
    demo = demo_settings(settings, student, out.parent.parent)
    plan = {recipe.key: with_sizes(recipe, settings) for recipe in recipes(demo)}
    given = {}
    if teacher is not None:
        found = given_weights(dataclasses.replace(demo, weights=teacher.parent), plan[TEACHER])
        if found is None:
            raise DataError(
                f"the teacher's weights are gone: {teacher}; remove {TEACHER_RESULT} to train it again"
            )
        given[TEACHER] = found
    watched = drawn_at_random(test_images, WATCHED, seed=0)
    trainer = StageTrainer(demo, train_images, watched, given, say=print)
    for key in ([TEACHER] if given else []) + list(STUDENT_STAGES.get(stage, ())):
        trainer.make(plan[key])
    made = trainer.make(plan[stage])
    logits = predict(made.model, test_images, made.info.input_size)
    files = []
    if stage != TEACHER:
        teacher_bytes = 4 * count_parameters(trainer.made[TEACHER].model)
        graph = TRACES.graph(made.model, made.info)
        files = ModelFiles(demo.out / "models", test_images, teacher_bytes).store(made, graph, logits)
    quality = scores(metrics(test_images.labels, logits.argmax(1), test_images.class_names))
    write_result(
        result,
        {
            "student": student,
            "stage": stage,
            "model": made.info.model,
            "size": made.info.input_size,
            "parameters": count_parameters(made.model),
            "sparsity": Masks.from_zeros(made.model).sparsity,
            "scores": dataclasses.asdict(quality),
            "files": [dataclasses.asdict(file) for file in files],
            "epochs": _epochs(made),
        },
    )


def demo_settings(settings: Settings, student: str, out: Path) -> DemoSettings:
    """The same networks as the demo trains, at this run's scale."""
    asked = settings.students
    return DemoSettings(
        out=out,
        data=Path(settings.data) if settings.data else None,
        images=settings.images,
        teacher=asked.teacher,
        student=student,
        schedules=Schedules(asked.teacher_stages, asked.student_stages, asked.prune_stages),
        sparsity=asked.sparsity,
        prune_first=asked.prune_first,
        mask_every=asked.mask_every,
        temperature=asked.temperature,
        alpha=asked.alpha,
        threads=settings.threads,
        precision=settings.precision,
        seed=asked.seed,
        progress=False,
    )


def with_sizes(recipe: Recipe, settings: Settings) -> Recipe:
    """Batch, learning rate and augmentation as this run asks for them."""
    asked = settings.students
    rate = (
        asked.teacher_lr if recipe.key == TEACHER else asked.prune_lr if recipe.sparsity else asked.student_lr
    )
    config = dataclasses.replace(
        recipe.config, lr=rate, batch_size=asked.batch_size, augment=settings.augment, seed=asked.seed
    )
    return dataclasses.replace(recipe, config=config)


def _epochs(made: Trained) -> list[dict[str, object]]:
    return [dataclasses.asdict(epoch) for epoch in made.epochs]
