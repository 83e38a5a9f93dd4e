"""``sparsenet prune --calibrate``: networks of any kind pruned at once, from inputs without labels."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from converters.conversion.size_options import size_options
from sparsenet.commands.bar import bar
from sparsenet.io.files import require_outputs
from sparsenet.text.table import to_json

#: Options of this way alone …
ONLY_CALIBRATED = ("samples", "n_m", "search", "kind", "sparse_initializers", "image_size", "shapes", "dims")
#: … and those that it shares with pruning by masks.
SHARED = ("weights", "output", "calibrate", "sparsity", "latency", "speedup", "int8", "scope", "block", "exclude",
          "min_density", "seed", "threads", "quiet", "as_json")  # fmt: skip


class _Pair(click.ParamType):
    """``2:4``."""

    name = "n-m"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """Parse the text; a pair that is parsed already passes."""
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,4}):(\d{1,4})", value)
        if not found:
            self.fail(f"'{value}' is not of the form 2:4", param, ctx)
        return int(found[1]), int(found[2])


def calibration_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--calibrate and what goes with it."""
    options = [
        click.option(
            "--calibrate", type=click.Path(path_type=Path), metavar="DIR|FILE|random",
            help="Prune at once, from inputs without labels, by optimal brain surgeon: a folder of images, or arrays, "
            "as for quantize. MODEL may then be an .onnx or a model file, too; what is written is a model file or, "
            "if OUTPUT ends in .onnx, MODEL itself with other weights.",
        ),
        click.option("--samples", type=click.IntRange(1), default=256, show_default=True,
                     help="With --calibrate: inputs to look at, drawn from all."),
        click.option("--n-m", type=_Pair(), metavar="N:M",
                     help="With --calibrate: keep N of every M consecutive input channels of an output and a tap."),
        click.option("--as", "kind", type=click.Choice(["model", "weights"]), default="model",
                     help="With --calibrate: write a model file, or, of trained weights or a network's name, weights "
                     "again, as train writes them.  [default: model]"),
        click.option("--sparse-initializers", is_flag=True,
                     help="With --calibrate, in an .onnx file: store weights as sparse initializers where that is "
                     "shorter. onnxruntime reads them; what else reads ONNX may not."),
        click.option("--search", type=click.IntRange(0), default=0, show_default=True, metavar="TRIES",
                     help="With --calibrate: other ways to spread the zeros to try, each reconstructed."),
        click.option("--image-size", type=int, nargs=2, metavar="ROWS COLUMNS", help="As for convert."),
    ]  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return size_options(function)


@contextmanager
def layer_bar(label: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A bar for work whose number of steps is known as it goes: it is told how many are done, and of how many."""
    with bar(label, 1000, quiet) as advance:
        shown = 0

        def progress(done: int, of: int) -> None:
            nonlocal shown
            advance(1000 * done // of - shown)
            shown = max(shown, 1000 * done // of)

        yield progress


def prune_calibrated(model: Path, output: Path, as_json: bool, options: dict[str, Any]) -> None:
    """Prune as the options say, save the network, and print what came of it.

    What is done is kept in a folder beside ``output`` until all of it is.
    """
    from converters.conversion.sources import source_files
    from converters.pruning.prune import prune
    from converters.quantization.annotate import in_bytes
    from converters.quantization.samples import open_samples
    from converters.quantization.steps import in_integers
    from sparsenet.latency.paired import PairedTimer
    from training.cli.calibrated_output import opened
    from training.cli.calibrated_report import Report

    state = output.with_name(f"{output.name}.state")
    require_outputs([output], itertools.chain([options["calibrate"]], source_files(model)))
    target = opened(model, output, options)
    graph = target.graph
    data = open_samples(options["calibrate"], graph, options["samples"], options["seed"])
    with layer_bar("pruning", as_json or options["quiet"]) as progress:
        found = prune(
            graph,
            data.batches(),
            options["sparsity"],
            scope=options["scope"] or "global",
            ms=options["latency"],
            speedup=options["speedup"],
            int8=options["int8"],
            block=options["block"],
            n_m=options["n_m"],
            skip=[*options["exclude"], *target.dense],
            min_density=options["min_density"],
            search=options["search"],
            state=state,
            threads=options["threads"],
            progress=progress,
        )
    if data.random:
        found.graph.metadata["pruning"] += ", which were random numbers: for tests of speed alone"
    integers = None
    if options["int8"]:
        show = partial(bar, quiet=as_json or options["quiet"])
        integers = in_integers(found.graph, data, show, threads=options["threads"])
    pruned = integers.graph if integers else found.graph
    target.write(pruned)
    timer = PairedTimer(in_bytes(found.dense) if integers else found.dense)
    report = Report(output, found, timer.first, timer.measure(pruned), target.dense, integers)
    click.echo(to_json(report.summary()) if as_json else report.text())
