"""``sparsenet bench``: how fast a network is here, in this engine and in others."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench.measure.options import (
    batches_option,
    blocks_option,
    engines_option,
    seconds_option,
    seed_option,
    size_option,
    sparsities_option,
    thread_counts_option,
)
from converters.conversion.size_options import size_options
from sparsenet.commands.options import FiniteRange, json_option
from sparsenet.commands.several import SeveralValues
from sparsenet.errors import InputError
from sparsenet.text.table import to_json

if TYPE_CHECKING:
    from bench.model.baseline import Cell
    from bench.model.results import Result

EPILOG = """\b
Examples:
  sparsenet bench model.safetensors
  sparsenet bench network.onnx --sparsity 0 0.5 0.9 --engines ours dense ort --threads 1 2
  sparsenet bench network.onnx --engines ours-int8 ort-int8 openvino-int8 --sparsity 0.8 --block 1x4
  sparsenet bench sounds.onnx --shape input=1x1x16000
  sparsenet bench mobilenetv1 --sparsity 0.9 --layers --trace trace.json -t 5 -x result.json
  sparsenet bench model.safetensors --engines ours -x old.json        # ... and after a change:
  sparsenet bench model.safetensors --baseline old.json --fail-below 0.95"""

#: Asked for if none is named, the latter where the network is quantized; those not installed are left out silently.
USUAL_ENGINES = ("ours", "dense", "ort", "deepsparse", "openvino", "torch")
USUAL_INT8_ENGINES = ("ours-int8", "ours", "ort-int8", "deepsparse-int8", "openvino-int8")


@click.command(cls=SeveralValues, epilog=EPILOG)
@click.argument("model", metavar="MODEL")
@engines_option((), "Which; speed-ups are of the first. Without it those that are installed of "
    f"{' '.join(USUAL_ENGINES)}; for a quantized network of {' '.join(USUAL_INT8_ENGINES)}.")  # fmt: skip
@sparsities_option((), "Fractions of zeros to impose by magnitude, layer by layer, where there are fewer.  "
    "[default: as it is]")  # fmt: skip
@blocks_option(
    "1x1", "Weights that --sparsity makes zero together: alone, or of four neighbouring input channels."
)
@thread_counts_option((), "--num_threads", "--num-cores", "--num_cores", "-ncores",
    text="Threads of every engine.  [default: the CPUs this process may use]")  # fmt: skip
@batches_option((), "-b", "--batch-size", "--batch_size")
@seconds_option(10.0, "Seconds of timing for each table row group, all engines together; up to three times as many "
    "where other work disturbs it.", "-t", "--time")  # fmt: skip
@click.option("-w", "--warmup-time", "--warmup_time", "warmup", type=FiniteRange(0), default=2.0,
    show_default=True, help="Seconds of running before.")  # fmt: skip
@click.option("--rounds", "--num-runs", "--num_runs", "rounds", type=click.IntRange(2),
    help="How many rounds, instead of --time.")  # fmt: skip
@size_option
@seed_option
@click.option("--layers", "--enable-op-profiling", "--enable_op_profiling", "show_layers", is_flag=True,
    help="Each layer's time too, dense and sparse.")  # fmt: skip
@click.option("--trace", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Write a Chrome trace of our engine: start, layers, kernels.")  # fmt: skip
@click.option("-x", "--export-path", "--export_path", "export", type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE", help="Write what --json prints.")  # fmt: skip
@click.option("--baseline", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
    help="Hold the first engine against what --export-path wrote another day, in units of fixed work that is timed in "
    "turn; unless told otherwise measure what was measured then. Exit code 0: as fast; 1: slower; 8: too noisy to "
    "tell.")  # fmt: skip
@click.option("--fail-below", type=FiniteRange(0, min_open=True),
    help="The smallest speed that is not slower, in units of the --baseline's.  [default: 0.95]")  # fmt: skip
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
@size_options
@json_option
@click.pass_context
def bench(
    ctx: click.Context, /,
    model: str, engines: tuple[str, ...], sparsity: tuple[float, ...], block: str, threads: tuple[int, ...],
    batch: tuple[int, ...], seconds: float, warmup: float, rounds: int | None, size: int | None,
    shapes: dict[str, tuple[int | None, ...]], dims: dict[str, int], seed: int, show_layers: bool,
    trace: Path | None, export: Path | None, baseline: Path | None, fail_below: float | None,
    quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Time MODEL in several engines, side by side.

    MODEL is a model file, an .onnx file or the name of a network of the zoo. Every engine gets the same weights, input,
    batch and threads, those in int8 what ONNX Runtime's quantization makes of them; outputs are compared before
    anything is timed; then the engines take turns in random order. With one thread processor time counts, with several
    wall time. Rounds that other work disturbed are dropped, and speed-ups are medians over the others with an interval,
    or too noisy to tell. docs/benchmark.md explains every field and how each engine is set up.
    """
    from bench.gate.verdict import Answer
    from bench.measure.contest import Settings
    from bench.measure.output import write_json
    from bench.measure.versions import versions
    from bench.model.baseline import cell_of, read_baseline
    from bench.model.hold import EXIT_CODES, hold, verdict
    from bench.model.record import record_of, text_of
    from bench.model.results import installed
    from bench.model.run import run
    from bench.subjects.source import onnx_file, open_model
    from converters.conversion.sources import source_files
    from sparsenet.io.files import require_outputs
    from sparsenet.targets.cpu.runtime.threads import available_cpus

    require_outputs([export, trace], itertools.chain([baseline], source_files(model)))
    if fail_below and not baseline:
        raise InputError("--fail-below is in units of a baseline's speed: add --baseline FILE")
    least = fail_below or 0.95
    old = read_baseline(baseline) if baseline else None
    if old:
        old.require_same(versions())
        engines, block = engines or old.engines[:1], old.block or block
        threads, batch = threads or old.threads, batch or old.batches
    sparsities = sparsity or (old.sparsities if old else (None,))
    graph = open_model(model, size, shapes=shapes, dims=dims)
    usual = USUAL_INT8_ENGINES if graph.quantization else USUAL_ENGINES
    names = tuple(dict.fromkeys(engines)) or installed(usual)

    def settings_of(threads: int, batch: int) -> Settings:
        return Settings(names, threads, batch, seconds, warmup, rounds, seed)

    cells = itertools.product(threads or (available_cpus(),), batch or (1,), sparsities)
    todo = [(s, settings_of(t, b)) for t, b, s in cells]
    for _, settings in todo:
        settings.check()
    if (show_layers or trace) and not {"ours", "dense"} & set(names):
        raise InputError(
            "--layers and --trace look into our engine: name 'ours' or 'dense' among the --engines"
        )
    report = run(graph, todo, show_layers, trace is not None, quiet, block, onnx_file(model))

    def again(cell: Cell) -> Result:
        _, zeros, _, threads, batch = cell
        looked = run(
            graph, [(zeros, settings_of(threads, batch))], False, False, quiet, block, onnx_file(model)
        )
        return next(result for result in looked.results if cell_of(result) == cell)

    held = hold(old, report.results, least, again) if old else []
    timing = {"time": seconds, "warmup_time": warmup, "rounds": rounds, "seed": seed}
    record = record_of(graph, model, timing, report, held, least)
    write_json(export, record)
    write_json(trace, {"traceEvents": report.events, "displayTimeUnit": "ms"})
    click.echo(to_json(record) if as_json else text_of(report, held, least))
    if verdict(held) is not Answer.HOLDS:
        ctx.exit(EXIT_CODES[verdict(held)])
