"""``sparsenet bench``: how fast a network is here, in this engine and in others."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    from bench.model.run import Report
    from sparsenet import Graph

EPILOG = """\b
Examples:
  sparsenet bench model.safetensors
  sparsenet bench network.onnx --sparsity 0 0.5 0.9 --engines ours dense ort --threads 1 2
  sparsenet bench network.onnx --engines ours-int8 ort-int8 openvino-int8 --sparsity 0.8 --block 1x4
  sparsenet bench sounds.onnx --shape input=1x1x16000
  sparsenet bench mobilenetv1 --sparsity 0.9 --layers --trace trace.json -t 5 -x result.json"""

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
@batches_option((1,), "-b", "--batch-size", "--batch_size")
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
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
@size_options
@json_option
def bench(
    model: str, engines: tuple[str, ...], sparsity: tuple[float, ...], block: str, threads: tuple[int, ...],
    batch: tuple[int, ...], seconds: float, warmup: float, rounds: int | None, size: int | None,
    shapes: dict[str, tuple[int | None, ...]], dims: dict[str, int], seed: int, show_layers: bool,
    trace: Path | None, export: Path | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Time MODEL in several engines, side by side.

    MODEL is a model file, an .onnx file or the name of a network of the zoo. Every engine gets the same weights, input,
    batch and threads, those in int8 what ONNX Runtime's quantization makes of them; outputs are compared before
    anything is timed; then the engines take turns in random order. With one thread processor time counts, with several
    wall time. Rounds that other work disturbed are dropped, and speed-ups are medians over the others with an interval,
    or too noisy to tell. docs/benchmark.md explains every field and how each engine is set up.
    """
    from bench.measure.contest import Settings
    from bench.measure.output import write_json
    from bench.model.results import installed
    from bench.model.run import run
    from bench.subjects.source import onnx_file, open_model
    from converters.conversion.sources import source_files
    from sparsenet.io.files import require_outputs
    from sparsenet.targets.cpu.runtime.threads import available_cpus

    require_outputs([export, trace], source_files(model))
    graph = open_model(model, size, shapes=shapes, dims=dims)
    usual = USUAL_INT8_ENGINES if graph.quantization else USUAL_ENGINES
    names = tuple(dict.fromkeys(engines)) or installed(usual)
    cells = list(itertools.product(threads or (available_cpus(),), batch, sparsity or (None,)))
    todo = [(s, Settings(names, t, b, seconds, warmup, rounds, seed)) for t, b, s in cells]
    for _, settings in todo:
        settings.check()
    if (show_layers or trace) and not {"ours", "dense"} & set(names):
        raise InputError(
            "--layers and --trace look into our engine: name 'ours' or 'dense' among the --engines"
        )
    report = run(graph, todo, show_layers, trace is not None, quiet, block, onnx_file(model))
    timing = {"time": seconds, "warmup_time": warmup, "rounds": rounds, "seed": seed}
    record = _record(graph, model, timing, report)
    write_json(export, record)
    write_json(trace, {"traceEvents": report.events, "displayTimeUnit": "ms"})
    click.echo(to_json(record) if as_json else _text(report))


def _record(graph: Graph, model: str, timing: dict[str, Any], report: Report) -> dict[str, Any]:
    from bench.measure.output import plain
    from bench.measure.versions import versions
    from bench.subjects.sparsity import SPARSITY_NOTE
    from sparsenet.targets.cpu.runtime.threads import available_cpus

    return {
        "model": model,
        "name": graph.name,
        "input_shape": list(graph.inputs[0].shape),
        "settings": timing,
        "available_cpus": available_cpus(),
        "versions": versions(),
        "sparsity_note": SPARSITY_NOTE,
        "skipped": report.skipped,
        "results": plain(report.results),
        "layers": plain(report.layers),
    }


def _text(report: Report) -> str:
    from bench.engines import LABELS
    from bench.model.tables import layers_table, results_table

    parts = [results_table(report.results)]
    if report.layers:
        parts.append(layers_table(report.layers))
    parts += [f"{LABELS[name]} left out: {note}." for name, note in report.skipped.items()]
    return "\n\n".join(parts)
