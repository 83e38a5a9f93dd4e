"""``sparsenet evaluate-detector``: average precision and latency of a face detector, pruned to several degrees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from sparsenet.commands.options import FiniteRange, json_option, threads_option
from sparsenet.commands.several import Several, SeveralValues
from sparsenet.io.files import require_output_folder
from sparsenet.text.table import render
from training.cli.detection_options import annotated_images, faces_options, ground_truth
from training.cli.options import Blocks, use_threads
from training.detection.config import DetectionConfig

EPILOG = """\b
Examples:
  sparsenet evaluate-detector mobilenet0.25_Final.pth --annotations widerface_subset/subset_gt.json \\
      --ground-truth widerface_subset/gt --sparsity 0 0.5 0.7 0.8 0.9 --finetune 8 --out detector-out
  sparsenet evaluate-detector mobilenet0.25_Final.pth --annotations widerface_subset/subset_gt.json \\
      --ground-truth widerface_subset/gt --speedup 1.6 2.2 --int8                           # at equal milliseconds
  sparsenet evaluate-detector drawn.safetensors --scenes 50 --beside fast.safetensors       # drawn scenes"""

#: A few hundred steps repair a pruned detector, if they are AdamW's; on small crops they take minutes on one core.
FINETUNE = DetectionConfig(
    epochs=1,
    batch_size=8,
    optimizer="adamw",
    lr=1e-3,
    size=256,
    scales=(0.4, 0.6, 0.8),
    clip_norm=10.0,
    freeze_statistics=True,
)


@click.command(cls=SeveralValues, epilog=EPILOG)
@click.argument("weights", type=click.Path(path_type=Path))
@faces_options
@click.option("--ground-truth", "truth", type=click.Path(path_type=Path),
              help="Folder of wider_{easy,medium,hard}_val.mat.  [default: every annotated face counts]")  # fmt: skip
@click.option("--sparsity", cls=Several, type=FiniteRange(0, 0.999), default=(0.0,), metavar="S...",
              help="Fractions of zeros by magnitude, in every convolution but the first, the depthwise ones and the "
                   "heads.  [default: 0]")  # fmt: skip
@click.option("--scope", type=click.Choice(["layer", "global", "both"]), default="both", show_default=True,
              help="The same share of every layer, or the smallest weights wherever they are.")  # fmt: skip
@click.option("--finetune", type=click.IntRange(0), default=0, show_default=True, metavar="EPOCHS",
              help="Fine-tune every pruned variant on half of the images, towards the dense detector's outputs; "
                   "all variants are then tested on the other half.")  # fmt: skip
@click.option("--at-once", cls=Several, type=FiniteRange(0, 0.999), default=(), metavar="S...",
              help="Fractions of zeros of variants pruned at once, by optimal brain surgeon, from images of the half "
                   "that no variant is then tested on.")  # fmt: skip
@click.option("--speedup", cls=Several, type=FiniteRange(1), default=(), metavar="TIMES...",
              help="Variants pruned at once to be so many times as fast as dense, and for comparison two that are as "
                   "fast by the same share of every layer and by the smallest weights wherever they are.")  # fmt: skip
@click.option(
    "--block",
    type=Blocks(),
    metavar="1xN",
    help="Of both: the same again with zeros in blocks, for example 1x4.",
)
@click.option("--int8", is_flag=True, help="Of both, and of WEIGHTS: the same again in 8-bit integers.")
@click.option("--samples", type=click.IntRange(1), default=48, show_default=True,
              help="Images that pruning at once and 8-bit integers look at.")  # fmt: skip
@click.option("--beside", cls=Several, type=click.Path(path_type=Path), default=(), metavar="FILE...",
              help="Model files made of WEIGHTS by prune --calibrate or quantize, to test and time, too.")  # fmt: skip
@click.option("--lr", type=FiniteRange(0, min_open=True), default=FINETUNE.lr, show_default=True,
              help="Of fine-tuning, with AdamW.")  # fmt: skip
@click.option(
    "--size", type=click.IntRange(32), help="Side of the input.  [default: what WEIGHTS were trained for]"
)
@click.option(
    "--compare/--no-compare", default=True, show_default=True,
    help="Run pruned variants in PyTorch, too; the dense one is in any case.",
)  # fmt: skip
@click.option(
    "--latency/--no-latency", default=True, show_default=True, help="Time all variants, interleaved."
)
@click.option("--rounds", type=click.IntRange(1), default=30, show_default=True, help="Of timing.")
@click.option("--out", type=click.Path(path_type=Path), default="detector-out", show_default=True,
              help="Folder for weights, model files, table.csv and table.json; an interrupted run continues "
                   "from it, and only latencies are measured again.")  # fmt: skip
@threads_option
@click.option(
    "--seed", type=int, default=0, show_default=True, help="Of the split, fine-tuning and drawn scenes."
)
@click.option("--quiet", is_flag=True, help="No progress bars.")
@json_option
def evaluate_detector(
    weights: Path,
    truth: Path | None,
    sparsity: tuple[float, ...],
    scope: str,
    finetune: int,
    lr: float,
    at_once: tuple[float, ...],
    speedup: tuple[float, ...],
    block: tuple[int, int] | None,
    int8: bool,
    samples: int,
    beside: tuple[Path, ...],
    compare: bool,
    latency: bool,
    rounds: int,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Average precision of WEIGHTS in the engine and in PyTorch, and what pruning costs and buys.

    Images are fitted into the square input, aspect kept. With WIDERFACE's .mat files scores follow its protocol for
    easy, medium and hard faces, over the given images.
    """
    from training.detection.published import open_detector
    from training.detection.split import photographs
    from training.detection.sweep import Sweep
    from training.detection.sweep_table import as_columns
    from training.detection.variants import SCOPES, OneShot, SweepConfig

    require_output_folder(out)
    use_threads(options["threads"])
    model, info = open_detector(weights, options["size"])
    seed, quiet = options["seed"], options["quiet"]
    images = annotated_images(options, info.input_size)
    config = SweepConfig(
        sparsities=sparsity,
        scopes=tuple(s for s in SCOPES if scope in (s, "both")),
        finetune=replace(FINETUNE, epochs=finetune, lr=lr, seed=seed) if finetune else None,
        one_shot=OneShot(speedup, at_once, block, int8, samples) if at_once or speedup or int8 else None,
        files=beside,
        compare=compare,
        seed=seed,
    )
    sweep = Sweep(
        model, info, images, ground_truth(truth, images), config, out, options["threads"], not quiet,
        say=(lambda _: None) if quiet else lambda line: click.echo(line, err=True),
    )  # fmt: skip
    rows = [as_columns(row) for row in sweep.run(rounds if latency else 0)]
    if as_json:
        click.echo((out / "table.json").read_text())
        return
    columns = ["variant", "sparsity", "epochs", "easy", "medium", "hard", "torch_easy", "torch_medium",
               "torch_hard", "bytes", "ms", "speedup"]  # fmt: skip
    for row in rows:
        row["sparsity"] = round(row["sparsity"], 4)
        if row["ms"] is not None and row["speedup"] is None:
            row["speedup"] = "too noisy to tell"
    click.echo(render(columns, [[row[column] for column in columns] for row in rows]))
    tested, tuned, every = (len(photographs(part)) for part in (sweep.testing, sweep.tuning, images))
    click.echo(
        f"\nAP on {tested} of {every} images"
        + (f", the other {tuned} for what changes weights" if tuned else "")
        + f"; all of it in {out / 'table.csv'} and {out / 'table.json'}"
    )
