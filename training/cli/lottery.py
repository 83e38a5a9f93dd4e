"""``sparsenet lottery``: find lottery tickets by iterative magnitude pruning, and set them beside random ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsenet.commands.options import FiniteRange, json_option
from sparsenet.commands.several import Several, SeveralValues
from sparsenet.errors import InputError
from sparsenet.io.files import require_output_folder
from sparsenet.text.table import render, to_json
from training.cli.options import (
    BLOCK,
    config_from,
    data_options,
    load_data,
    model_info,
    report_epoch,
    training_options,
    use_threads,
)
from training.models.registry import MODELS, build_model

if TYPE_CHECKING:
    from training.pruning.rewind import Rewind

EPILOG = """\b
Examples:
  sparsenet lottery minixception-128 -o tickets --data faces --levels 8
  sparsenet lottery minixception-128 -o tickets --data faces --sparsity 0.5 0.7 0.8 0.9 --rewind epoch:1
  sparsenet lottery maskcnn -o fresh --data faces --task 2-class --stages 124:20 --rewind fresh \\
      --control shuffled reinitialised --json

A killed run continues when the same command is given again."""


@click.command(cls=SeveralValues, epilog=EPILOG)
@click.argument("model", type=click.Choice(list(MODELS)))
@click.option("-o", "--output", "folder", type=click.Path(path_type=Path), required=True,
              help="Folder for networks, masks and the curve; a run in it continues.")  # fmt: skip
@click.option("--levels", type=click.IntRange(1), default=8, show_default=True, help="How often to prune.")
@click.option("--rate", type=FiniteRange(0, 1, min_open=True, max_open=True), default=0.2, show_default=True,
              help="Share of the weights left that every level prunes.")  # fmt: skip
@click.option("--sparsity", "sparsities", cls=Several, type=FiniteRange(0, 1, max_open=True), metavar="S...",
              help="Fractions of zeros of the levels, instead of --levels and --rate.")  # fmt: skip
@click.option("--rewind", default="initial", show_default=True, metavar="initial|epoch:K|step:K|fresh",
              help="Where the weights left start again: as at first, as after K, or as new ones.")  # fmt: skip
@click.option("--control", "controls", cls=Several,
              type=click.Choice(["shuffled", "reinitialised", "none"]), default=["shuffled"], show_default=True,
              help="Networks to train beside each ticket: weights at random places, or new weights.")  # fmt: skip
@click.option("--scope", type=click.Choice(["layer", "global", "erk"]), default="global", show_default=True,
              help="The same share of every layer, the smallest weights wherever they are, or with small layers "
                   "spared, as their shapes tell (Erdős-Rényi-Kernel).")  # fmt: skip
@click.option(
    "--include", metavar="PATTERN", multiple=True, help="Layers to prune, e.g. 'blocks.*'.  [default: all]"
)
@click.option("--exclude", metavar="PATTERN", multiple=True, help="Layers to leave whole, e.g. head.")
@BLOCK
@click.option("--min-density", type=FiniteRange(0, 1), default=0.0, show_default=True,
              help="Share of its weights that every layer keeps; at least one in any case.")  # fmt: skip
@data_options
@training_options(stages=("128:12",), lr=3e-3, early_stopping=False, single_run=False)
@json_option
@click.pass_context
def lottery(ctx: click.Context, /, model: str, folder: Path, as_json: bool, **options: Any) -> None:
    """Train MODEL, prune its smallest weights, rewind, and train again, level by level.

    Each level leaves weights and masks in the folder; curve.csv, curve.json and curve.png set the tickets beside
    random tickets of the same densities.
    """
    from training.pruning.image_trainer import ImageTrainer
    from training.pruning.lottery_curve import row, save_curve
    from training.pruning.lottery_ticket import LotterySettings, by_rate, draw_tickets

    given = [
        n for n in ("levels", "rate") if ctx.get_parameter_source(n) == click.core.ParameterSource.COMMANDLINE
    ]
    if options["sparsities"] and given:
        raise InputError(f"--sparsity decides the levels: leave out --{given[0]}")
    require_output_folder(folder)
    use_threads(options["threads"])
    config = config_from(options)
    size = max(stage[0] for stage in config.stages)
    data, test = (load_data(options, size, split) for split in ("train", "test"))
    trainer = ImageTrainer(
        data, test, config, model_info(model, data, options), not options["quiet"], report_epoch(options["quiet"])
    )  # fmt: skip
    settings = LotterySettings(
        sparsities=options["sparsities"] or by_rate(options["levels"], options["rate"]),
        rewind=_rewind(options["rewind"], trainer.steps_per_epoch),
        controls=tuple(control for control in options["controls"] if control != "none"),
        **{name: options[name] for name in ("scope", "include", "exclude", "block", "min_density", "seed")},
    )
    make = partial(_build, model, len(data.class_names))
    say = (lambda _: None) if options["quiet"] else partial(click.echo, err=True)
    records = draw_tickets(make, trainer, settings, folder, say)
    files = save_curve(records, folder)
    rows = [row(record) for record in records]
    if as_json:
        click.echo(to_json({"folder": str(folder), "files": [str(file) for file in files], "curve": rows}))
        return
    columns = [name for name in rows[0] if name != "density"]
    click.echo(render(columns, [[line[name] for name in columns] for line in rows]))
    click.echo(f"\nwrote {', '.join(map(str, files))}")


def _build(model: str, classes: int, seed: int) -> Any:
    return build_model(model, classes, seed)


def _rewind(text: str, steps_per_epoch: int) -> Rewind:
    from training.pruning.rewind import Rewind

    kind, _, number = text.partition(":")
    if kind in ("initial", "fresh") and not number:
        return Rewind(kind)  # type: ignore[arg-type]
    if kind in ("epoch", "step") and number.isdecimal() and int(number) > 0:
        return Rewind("early", int(number) * (steps_per_epoch if kind == "epoch" else 1))
    raise InputError(f"--rewind is initial, epoch:K, step:K or fresh, with K from 1; got '{text}'")
