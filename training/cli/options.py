"""Options and steps that the training commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsenet.commands.options import THREADS, FiniteRange
from sparsenet.commands.several import Several
from sparsenet.errors import MaskError
from sparsenet.text.table import render
from training.loop.config import TrainConfig
from training.pruning.block_shape import Block, parse_block

if TYPE_CHECKING:
    from training.checkpoint import ModelInfo
    from training.data.files import Split
    from training.data.images import LabeledImages
    from training.evaluate import Metrics
    from training.loop.run import EpochRecord

TASKS = ("2-class", "4-class", "cascade-1", "cascade-2")


class Stage(click.ParamType):
    """``SIZE:EPOCHS``."""

    name = "stage"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Parse the text; a value that is parsed already passes."""
        if isinstance(value, tuple):
            return value
        try:
            size, epochs = str(value).split(":")
            return int(size), int(epochs)
        except ValueError:
            self.fail(f"'{value}' is not SIZE:EPOCHS, as in 128:24 256:6", param, ctx)


class Blocks(click.ParamType):
    """``1xINPUTS``."""

    name = "block"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Block:
        """Parse the text; a value that is parsed already passes."""
        if isinstance(value, tuple):
            return value
        try:
            return parse_block(str(value))
        except MaskError:
            self.fail(f"'{value}' is no block of input channels, for example 1x4", param, ctx)


BLOCK = click.option(
    "--block", type=Blocks(), metavar="1xN",
    help="Prune N consecutive input channels of an output and a tap together: 1x4 is what int8 kernels skip as one.  "
    "[default: single weights]",
)  # fmt: skip


QUANTIZE = click.option(
    "--quantize", cls=Several, type=Stage(), metavar="SIZE:EPOCHS...",
    help="Train on in the end, with weights and activations rounded to 8 bits, zeros held and the same teachers, at a "
    "tenth of --lr; `convert` then takes the grids that were trained.",
)  # fmt: skip


def quantized_checkpoint(checkpoint: Path | None) -> Path | None:
    """Where training in 8 bits keeps its state: beside that of the training before it."""
    return None if checkpoint is None else checkpoint.with_name(f"{checkpoint.name}.quantize")


def data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--data, --task, --images, --on-error."""
    options = [
        click.option(
            "--data",
            type=click.Path(path_type=Path),
            help="MaskedFace-Net (CMFD/, IMFD/) or a folder with one sub-folder per class.  [default: drawn faces]",
        ),
        click.option(
            "--task",
            type=click.Choice(TASKS),
            help="Labels to learn.  [default: 4-class, or the folder's classes]",
        ),
        click.option(
            "--images",
            type=click.IntRange(8),
            default=2000,
            show_default=True,
            help="How many faces to draw.",
        ),
        click.option(
            "--on-error",
            type=click.Choice(["raise", "skip"]),
            default="raise",
            show_default=True,
            help="A broken image is an error, or is skipped and counted.",
        ),
    ]
    for option in reversed(options):
        function = option(function)
    return function


def training_options(
    stages: tuple[str, ...],
    lr: float,
    flag: str = "--stages",
    early_stopping: bool = True,
    single_run: bool = True,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The options behind ``TrainConfig``, with a command's own defaults for schedule and learning rate.

    ``flag`` is the name of the option that gives the stages; without a default, no training is asked for. Its command
    is a ``SeveralValues``. One that trains several networks (``single_run=False``) has no validation images and
    checkpoint files of its own.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        options = [
            click.option(
                flag, "stages", cls=Several, type=Stage(), default=stages, show_default=bool(stages),
                metavar="SIZE:EPOCHS...", help="Input sizes and epochs, in order.",
            ),
            click.option("--batch-size", type=click.IntRange(2), default=32, show_default=True),
            click.option("--lr", type=FiniteRange(0, min_open=True), default=lr, show_default=True,
                         help="Peak learning rate."),
            click.option("--balance", type=FiniteRange(0, 1), default=0.75, show_default=True,
                         help="0 draws images as they come, 1 every class equally often."),
            click.option("--precision", type=click.Choice(["auto", "fp32", "bf16"]), default="auto", show_default=True,
                         help="auto: bf16 on a GPU, fp32 on a CPU."),
            click.option("--threads", type=THREADS, help="Threads PyTorch uses.  [default: its own choice]"),
            click.option("--seed", type=int, default=0, show_default=True),
            click.option("--quiet", is_flag=True, help="No progress bars."),
        ]  # fmt: skip
        if single_run:
            options += [
                click.option("--validation", type=FiniteRange(0, 0.5), default=0.0, show_default=True,
                             help="Share of the training images kept aside and judged after every epoch."),
                click.option("--checkpoint", type=click.Path(path_type=Path),
                             help="Written after every epoch; an interrupted run continues from it."),
            ]  # fmt: skip
        if early_stopping:
            help_ = "Stop after so many epochs without a better validation macro F1."
            options.append(click.option("--patience", type=click.IntRange(1), help=help_))
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def config_from(options: dict[str, Any]) -> TrainConfig:
    """The ``TrainConfig`` behind ``training_options``."""
    names = ("stages", "batch_size", "lr", "balance", "precision", "patience", "seed")
    return TrainConfig(**{name: options[name] for name in names if name in options})


def training_stages(options: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    """Of all training that is asked for."""
    return (*options["stages"], *options["quantize"])


def first_process() -> bool:
    """Whether this process writes files and reports, of those that ``torchrun`` started for one command."""
    return os.environ.get("RANK", "0") == "0"


def load_data(options: dict[str, Any], size: int, split: Split) -> LabeledImages:
    """The images behind ``data_options``."""
    from training.data.sources import load_split

    return load_split(
        options["data"], size, split, task=options["task"], count=options["images"],
        on_error=options["on_error"], seed=options["seed"], progress=first_process() and not options["quiet"],
    )  # fmt: skip


def split_validation(
    data: LabeledImages, share: float, seed: int
) -> tuple[LabeledImages, LabeledImages | None]:
    """Keep a random ``share`` of the images aside; None if it is 0."""
    import torch

    if share == 0:
        return data, None
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    held = max(1, round(share * len(data)))
    return data.subset(order[held:]), data.subset(order[:held])


def report_epoch(quiet: bool) -> Callable[[EpochRecord], None] | None:
    """A callback that prints one line per epoch on standard error, in the first process."""
    if quiet or not first_process():
        return None

    def show(record: EpochRecord) -> None:
        line = f"epoch {record.epoch} at {record.size}²: loss {record.train_loss:.4f}"
        if record.val_macro_f1 is not None:
            line += f", validation accuracy {record.val_accuracy:.4f}, macro F1 {record.val_macro_f1:.4f}"
        click.echo(line, err=True)

    return show


def metrics_table(metrics: Metrics) -> str:
    """Accuracy and F1 in one line, then a row per class."""
    rows = [
        (name, precision, recall, f1, support)
        for name, precision, recall, f1, support in zip(
            metrics.class_names, metrics.precision, metrics.recall, metrics.f1, metrics.support, strict=True
        )
    ]
    head = f"accuracy {metrics.accuracy:.4f}   macro F1 {metrics.macro_f1:.4f}   weighted F1 {metrics.weighted_f1:.4f}"
    return f"{head}\n\n" + render(["class", "precision", "recall", "F1", "images"], rows)


def model_info(model: str, data: LabeledImages, options: dict[str, Any], **notes: str) -> ModelInfo:
    """What the weights file will say of itself."""
    from training.checkpoint import ModelInfo

    stages: tuple[tuple[int, int], ...] = options["stages"]
    return ModelInfo(
        model=model, class_names=data.class_names, input_size=stages[-1][0], task=options["task"] or "4-class",
        seed=options["seed"], notes=notes,
    )  # fmt: skip


def use_threads(threads: int | None) -> None:
    """Tell PyTorch how many threads to use."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
