"""``sparsenet bench``: how fast a network is here, in this engine and in others."""

from __future__ import annotations

import itertools
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from bench.engines import ENGINES
from bench.measure.several import SeveralValues, is_number
from converters.conversion.size_options import size_options
from sparsenet.commands.options import FiniteRange, json_option
from sparsenet.errors import InputError
from sparsenet.text.table import to_json

if TYPE_CHECKING:
    import numpy as np

    from bench.engines import Session
    from bench.model.measure import Layer, Result
    from sparsenet import Graph

EPILOG = """\b
Examples:
  sparsenet bench model.safetensors
  sparsenet bench network.onnx --sparsity 0 0.5 0.9 --engines ours dense ort --threads 1 2
  sparsenet bench sounds.onnx --shape input=1x1x16000
  sparsenet bench mobilenetv1 --sparsity 0.9 --layers --trace trace.json -t 5 -x result.json"""

#: Asked for if none is named; those that are not installed are left out silently.
USUAL_ENGINES = ("ours", "dense", "ort", "deepsparse", "openvino", "torch")


class _Bench(SeveralValues):
    several: ClassVar = {
        "--sparsity": is_number,
        "--engines": ENGINES.__contains__,
        **dict.fromkeys(("--threads", "--num_threads", "--num_cores", "--num-cores", "-ncores"), str.isdigit),
        **dict.fromkeys(("-b", "--batch-size", "--batch_size"), str.isdigit),
    }


@dataclass
class _Report:
    """What a run has brought so far."""

    results: list[Result] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


@click.command(cls=_Bench, epilog=EPILOG)
@click.argument("model", metavar="MODEL")
@click.option("--engines", multiple=True, metavar="NAME...", help="Which, of: ours, dense (ours with dense kernels), "
    "cuda, cuda-dense (both on a GPU), ort, deepsparse, openvino, torch, numpy, scipy. Speed-ups are of the first.  "
    "[default: those installed but the GPU's and the last two]")  # fmt: skip
@click.option("--sparsity", type=FiniteRange(0, 1, max_open=True), multiple=True, metavar="S...",
    help="Fractions of zeros to impose by magnitude, layer by layer, where there are fewer.  "
    "[default: as it is]")  # fmt: skip
@click.option("--threads", "--num_threads", "--num-cores", "--num_cores", "-ncores", "threads",
    type=click.IntRange(1), multiple=True, metavar="N...",
    help="Threads of every engine.  [default: the CPUs this process may use]")  # fmt: skip
@click.option("-b", "--batch-size", "--batch_size", "batch", type=click.IntRange(1), multiple=True, default=(1,),
    metavar="N...", help="Images at a time.  [default: 1]")  # fmt: skip
@click.option("-t", "--time", "seconds", type=FiniteRange(0, min_open=True), default=10.0, show_default=True,
    help="Seconds of timing for each table row group, all engines together; up to three times as many where other work "
    "disturbs it.")  # fmt: skip
@click.option("-w", "--warmup-time", "--warmup_time", "warmup", type=FiniteRange(0), default=2.0,
    show_default=True, help="Seconds of running before.")  # fmt: skip
@click.option("--rounds", "--num-runs", "--num_runs", "rounds", type=click.IntRange(2),
    help="How many rounds, instead of --time.")  # fmt: skip
@click.option("--size", type=click.IntRange(8), help="Side of the images of a network of the zoo.")
@click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of the input and the order of turns.",
)
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
    model: str, engines: tuple[str, ...], sparsity: tuple[float, ...], threads: tuple[int, ...],
    batch: tuple[int, ...], seconds: float, warmup: float, rounds: int | None, size: int | None,
    shapes: dict[str, tuple[int | None, ...]], dims: dict[str, int], seed: int, show_layers: bool,
    trace: Path | None, export: Path | None, quiet: bool, as_json: bool,
) -> None:  # fmt: skip
    """Time MODEL in several engines, side by side.

    MODEL is a model file, an .onnx file or the name of a network of the zoo. Every engine gets the same weights, input,
    batch and threads; outputs are compared before anything is timed; then the engines take turns in random order.
    With one thread processor time counts, with several wall time. Rounds that other work disturbed are dropped, and
    speed-ups are medians over the others with an interval, or too noisy to tell. docs/benchmark.md explains every field
    and how each engine is set up.
    """
    from bench.model.measure import Settings, check_settings, installed
    from bench.subjects.source import open_model
    from converters.conversion.sources import source_files
    from sparsenet.io.files import require_outputs, write_output
    from sparsenet.targets.cpu.runtime.threads import available_cpus

    names = tuple(dict.fromkeys(engines)) or installed(USUAL_ENGINES)
    cells = list(itertools.product(threads or (available_cpus(),), batch, sparsity or (None,)))
    todo = [(s, Settings(names, t, b, seconds, warmup, rounds, seed)) for t, b, s in cells]
    for _, settings in todo:
        check_settings(settings)
    if (show_layers or trace) and not {"ours", "dense"} & set(names):
        raise InputError(
            "--layers and --trace look into our engine: name 'ours' or 'dense' among the --engines"
        )
    require_outputs([export, trace], source_files(model))
    graph = open_model(model, size, shapes=shapes, dims=dims)
    report = _run(graph, todo, show_layers, trace is not None, quiet)
    record = _record(graph, model, todo[0][1], report)
    if export is not None:
        write_output(export, to_json(record).encode())
    if trace is not None:
        write_output(trace, to_json({"traceEvents": report.events, "displayTimeUnit": "ms"}).encode())
    click.echo(to_json(record) if as_json else _text(report))


def _run(graph: Graph, todo: list[Any], show_layers: bool, traced: bool, quiet: bool) -> _Report:
    from tqdm import tqdm

    from bench.model.measure import layers_of, measure

    report = _Report()
    with tqdm(
        total=1000 * len(todo), disable=quiet, file=sys.stderr, bar_format="{desc} {percentage:3.0f}% {bar}"
    ) as bar:
        for number, (sparsity, settings) in enumerate(todo):
            at = "" if sparsity is None else f" at {sparsity:.0%}"
            bar.set_description(f"{graph.name}{at}, {settings.threads} thread(s), batch {settings.batch}")

            def inspect(
                sessions: dict[str, Session], x: np.ndarray, sparsity: float | None = sparsity
            ) -> None:
                if show_layers:
                    report.layers += layers_of(sessions, x, sparsity)
                if traced:
                    report.events += _events(sessions, x, sparsity, len(report.events))

            def progress(done: int, rounds: int, number: int = number) -> None:
                bar.update(1000 * number + 1000 * done // rounds - bar.n)

            report.results += measure(graph, sparsity, settings, report.skipped, inspect, progress)
    return report


def _events(
    sessions: dict[str, Session], x: np.ndarray, sparsity: float | None, first: int
) -> list[dict[str, Any]]:
    from bench.engines import LABELS
    from bench.model.trace import trace_events

    events = []
    for number, (name, session) in enumerate(sessions.items()):
        if session.engine is not None:
            at = "" if sparsity is None else f" at {sparsity:.0%}"
            title = f"{LABELS[name]}{at}, {session.engine.threads} thread(s)"
            events += trace_events(session.engine, x, first + number, title)
    return events


def _record(graph: Graph, model: str, settings: Any, report: _Report) -> dict[str, Any]:
    from bench.measure.versions import versions
    from bench.subjects.sparsity import SPARSITY_NOTE
    from sparsenet.targets.cpu.runtime.threads import available_cpus

    return {
        "model": model,
        "name": graph.name,
        "input_shape": list(graph.inputs[0].shape),
        "settings": {
            "time": settings.seconds,
            "warmup_time": settings.warmup,
            "rounds": settings.rounds,
            "seed": settings.seed,
        },
        "available_cpus": available_cpus(),
        "versions": versions(),
        "sparsity_note": SPARSITY_NOTE,
        "skipped": report.skipped,
        "results": [asdict(result) for result in report.results],
        "layers": [asdict(layer) for layer in report.layers],
    }


def _text(report: _Report) -> str:
    from bench.engines import LABELS
    from bench.model.tables import layers_table, results_table

    parts = [results_table(report.results)]
    if report.layers:
        parts.append(layers_table(report.layers))
    parts += [f"{LABELS[name]} left out: {note}." for name, note in report.skipped.items()]
    return "\n\n".join(parts)
