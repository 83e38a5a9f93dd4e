"""The main job: teacher → students → pruned → converted → int8 → engine, measured, as one report.

    report = run_demo(DemoSettings(out=Path("demo-out")))

Everything it needs to continue after an interruption lies under ``out``: weights of finished networks, a checkpoint
of the one in training. ``report.json`` and ``report.html`` appear there at the end.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

import sparsenet
from sparsenet.errors import DataError, InputError
from sparsenet.graph import FloatArray, Graph
from sparsenet.text.quantities import threads_text
from training.data.images import LabeledImages, drawn_at_random
from training.data.sources import load_split
from training.demo import examples
from training.demo.curves import sparsity_curves
from training.demo.environment import environment
from training.demo.model_files import ModelFiles, batches, in_integers, run, scores
from training.demo.settings import DemoSettings, recipes, stages_text
from training.demo.speed import Timing, time_network
from training.demo.stages import RISE, StageTrainer, Trained, given_weights
from training.demo.startup import startup
from training.evaluate import metrics, predict
from training.models.registry import count_parameters
from training.pruning import Masks
from training.pruning.block_shape import block_text
from training.report.model import Data, Report, Speed, Stage, StoredFile, save_report
from training.report.page import save_page
from training.traces import Traces

#: Test images looked at after every epoch, at most, and training images that show the ranges of tensors.
WATCHED, CALIBRATION = 256, 128
FINAL = "distilled-pruned"


def run_demo(settings: DemoSettings, say: Callable[[str], None] = lambda _: None) -> Report:
    """Do all of it and write the report under ``settings.out``.

    Args:
        settings: what to do.
        say: told in a line what is being done.

    Raises:
        DataError: the images, or the folder to write to, cannot be used.
        InputError: weights given are of another network or other classes.
        CheckpointError: weights given are damaged.
    """
    clock = _Clock()
    plan = recipes(settings)
    given = {r.key: found for r in plan if (found := given_weights(settings, r)) is not None}
    if settings.weights is not None and not given:
        names = ", ".join(f"{recipe.key}.safetensors" for recipe in plan)
        raise InputError(f"{settings.weights}: none of {names} is there")
    with clock("images"):
        train_images, test = _images(settings, max(_sizes(settings, given)))
    _make_folder(settings)
    say(f"images  {len(train_images)} for training, {len(test)} for the test; {', '.join(test.class_names)}")

    watched = drawn_at_random(test, WATCHED, settings.seed)
    trainer = StageTrainer(settings, train_images, watched, given, say)
    networks: dict[str, Trained] = {}
    logits: dict[str, Tensor] = {}
    stages: list[Stage] = []
    with clock("training"):
        for number, recipe in enumerate(plan, start=1):
            say(f"[{number}/{len(plan)}] {recipe.title}: {recipe.model}, {stages_text(recipe.config.stages)}")
            made = networks[recipe.key] = trainer.make(recipe)
            logits[recipe.key] = predict(made.model, test, made.info.input_size)
            stages.append(_stage(made, test, logits[recipe.key]))
            say(_summary(stages[-1]))

    teacher_bytes = 4 * stages[0].parameters
    model_files = ModelFiles(settings.out / "models", test, teacher_bytes)
    files: list[StoredFile] = []
    traces = Traces()
    with clock("conversion and test of model files"):
        graphs = {key: traces.graph(made.model, made.info) for key, made in networks.items()}
        for key, made in networks.items():
            if key != "teacher":
                say(f"model files of {key}: written, loaded, tested")
                files += model_files.store(made, graphs[key], logits[key])
    final = networks[FINAL]
    with clock("quantization"):
        say(f"int8: {FINAL}, by the ranges of {min(CALIBRATION, len(train_images))} training images")
        shown = drawn_at_random(train_images, CALIBRATION, settings.seed)
        quantized = in_integers(graphs[FINAL], shown, final.info.input_size)
        files.append(model_files.store_integers(final, quantized, logits[FINAL]))
    with clock("speed"):
        say(f"speed: PyTorch, engine dense and sparse, in float32 and int8; {threads_text(settings.threads)}")
        timings = [
            _time(networks[key], graphs[key], test, settings, quantized if key == FINAL else None)
            for key in ("teacher", "distilled", FINAL)
        ]
        final_file = model_files.path(FINAL, settings.values)
        starts = startup(final_file, final.path, final.info.input_size)
    with clock("curves"):
        say("curves: accuracy and latency against sparsity")
        student = networks["distilled"]
        accuracy_curve, latency_curve = sparsity_curves(
            student, traces, settings.curve, test, _one_image(test, student.info.input_size),
            layout=timings[1].latencies[0].setting, threads=settings.threads, seconds=settings.seconds / 4,
            block=settings.block,
        )  # fmt: skip

    answers = run(sparsenet.load(final_file), test, final.info.input_size)
    report = Report(
        command=settings.command(),
        created=datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        settings=_settings_shown(settings, list(networks.values())),
        environment=environment(),
        data=_data(settings, train_images, test),
        teacher_bytes=teacher_bytes,
        student=settings.student,
        stages=stages,
        files=files,
        table_values=settings.values,
        speed=Speed(
            threads=settings.threads,
            latencies=[latency for timing in timings for latency in timing.latencies],
            speedups=[speedup for timing in timings for speedup in timing.speedups],
            max_difference=max(timing.max_difference for timing in timings),
        ),
        startup=starts,
        accuracy_curve=accuracy_curve,
        latency_curve=latency_curve,
        examples=examples.examples(test, answers, seed=settings.seed),
        mistakes=examples.mistakes(test, answers),
        phases=clock.seconds,
    )
    save_page(report, settings.out / "report.html")
    save_report(report, settings.out / "report.json")
    return report


class _Clock:
    """Seconds of every phase by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - start


def _make_folder(settings: DemoSettings) -> None:
    try:
        settings.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot make the folder {settings.out}: {error.strerror}") from None


def _sizes(settings: DemoSettings, given: dict[str, Trained]) -> list[int]:
    schedules = settings.schedules
    asked = [size for stages in (schedules.teacher, schedules.student, schedules.prune) for size, _ in stages]
    return asked + [found.info.input_size for found in given.values()]


def _images(settings: DemoSettings, size: int) -> tuple[LabeledImages, LabeledImages]:
    train_images, test = (
        load_split(
            settings.data, size, split, count=settings.images, on_error=settings.on_error, seed=settings.seed,
            progress=settings.progress,
        )
        for split in ("train", "test")
    )  # fmt: skip
    return train_images, test


def _stage(made: Trained, test: LabeledImages, logits: Tensor) -> Stage:
    return Stage(
        key=made.recipe.key,
        title=made.recipe.title,
        model=made.info.model,
        size=made.info.input_size,
        parameters=count_parameters(made.model),
        sparsity=Masks.from_zeros(made.model).sparsity,
        scores=scores(metrics(test.labels, logits.argmax(1), test.class_names)),
        epochs=made.epochs,
        seconds=made.seconds,
        weights=str(made.path),
        reused=made.reused,
    )


def _summary(stage: Stage) -> str:
    origin = f"({stage.reused})" if stage.reused else f"in {stage.seconds:.0f} s"
    quality = f"accuracy {stage.scores.accuracy:.1%}, macro F1 {stage.scores.macro_f1:.1%}"
    return f"      {quality}, {stage.sparsity:.0%} zeros {origin}"


def _one_image(test: LabeledImages, size: int) -> FloatArray:
    return next(batches(test.subset([0]), size))


def _time(
    made: Trained, graph: Graph, test: LabeledImages, settings: DemoSettings, quantized: Graph | None
) -> Timing:
    # The networks without zeros have nothing for sparse kernels to leave out.
    engines = ("dense", "sparse") if made.recipe.sparsity else ("dense",)
    image = _one_image(test, made.info.input_size)
    return time_network(
        made.recipe.key, made.model, graph, image, engines=engines, quantized=quantized, threads=settings.threads,
        seconds=settings.seconds,
    )  # fmt: skip


def _settings_shown(settings: DemoSettings, networks: list[Trained]) -> dict[str, str]:
    shown = {made.recipe.title: made.description() for made in networks}
    trained = [made.recipe for made in networks if not made.given]
    if trained:
        config = trained[0].config
        shown["optimizer"] = (
            f"AdamW, batch {config.batch_size}, weight decay {config.weight_decay:g}, averaged weights "
            f"(decay {config.ema:g}), {config.precision}"
        )
    if any(recipe.teacher for recipe in trained):
        shown["distillation"] = (
            f"temperature {settings.temperature:g}, weight of the labels {settings.alpha:g}"
        )
    if any(recipe.sparsity for recipe in trained):
        units = "" if settings.block is None else f" in blocks of {block_text(settings.block)}"
        shown["pruning"] = (
            f"L1 per layer{units}, depthwise and first convolutions left whole, {settings.initial_sparsity:.0%} to "
            f"{settings.sparsity:.0%} of all weights by a cubic schedule over the first {RISE:.0%} of the steps"
        )
    shown["quantization"] = (
        f"the final student, by the ranges of at most {CALIBRATION} training images, channels equalized, not trained"
    )
    return shown | {"seed": str(settings.seed)}


def _data(settings: DemoSettings, train_images: LabeledImages, test: LabeledImages) -> Data:
    drawn = settings.data is None
    return Data(
        name="drawn masked faces" if settings.data is None else settings.data.resolve().name,
        source="drawn by the built-in generator" if drawn else str(settings.data),
        size=test.size,
        classes=list(test.class_names),
        counts={
            "training": list(train_images.counts().values()),
            "test": list(test.counts().values()),
        },
    )
