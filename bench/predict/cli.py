"""``sparsenet predict``: what pruning would bring here, from measured tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from bench.measure.options import blocks_option, size_option, sparsities_option
from converters.conversion.size_options import size_options
from sparsenet.commands.options import json_option
from sparsenet.commands.several import SeveralValues
from sparsenet.text.table import render, to_json

if TYPE_CHECKING:
    from sparsenet import Graph
    from sparsenet.latency.estimate import Estimator

EPILOG = """\b
Examples:
  sparsenet predict mobilenetv1 --sparsity 0.5 0.8 0.9 --measure      (the first time)
  sparsenet predict network.onnx --sparsity 0.9 --layers
  sparsenet predict detector.onnx --shape input=1x3x480x640
  sparsenet predict model.safetensors --int8 --block 1x4 --sparsity 0.7 0.8 0.9
  sparsenet predict model.safetensors --sparsity 0.9 --check"""


@click.command(cls=SeveralValues, epilog=EPILOG)
@click.argument("model", metavar="MODEL")
@sparsities_option((0.5, 0.8, 0.9, 0.95))
@blocks_option("1x1", "Neighbouring input channels in a row that become zero together.")
@click.option("--int8", is_flag=True, help="Once it is quantized; a quantized MODEL is taken so anyway.")
@click.option(
    "--measure", "remeasure", is_flag=True, help="Measure this machine's kernels first; four minutes."
)
@click.option("--check", is_flag=True, help="Run the network at each sparsity, too, and tell the error.")
@click.option("--layers", "show_layers", is_flag=True, help="Each layer's estimate, too.")
@size_option
@size_options
@json_option
def predict(
    model: str, sparsity: tuple[float, ...], block: str, int8: bool, remeasure: bool, check: bool, show_layers: bool,
    size: int | None, shapes: dict[str, tuple[int | None, ...]], dims: dict[str, int], as_json: bool,
) -> None:  # fmt: skip
    """Estimate the latency MODEL would have here if it were pruned, before it is trained.

    MODEL is a model file, an .onnx file or the name of a network of the zoo; its weights do not matter, but for zeros
    already there. One image, one thread, kernels and schedule as the planner would choose them. Estimates come from
    kernels timed alone on other layers, and from the layers of five networks of the zoo.
    """
    from bench.subjects.integers import in_integers
    from bench.subjects.source import open_model
    from sparsenet.latency.table import load

    estimator = None if remeasure else load()
    graph = open_model(model, size, shapes=shapes, dims=dims)
    estimator = estimator or _measure()
    graph = in_integers(graph) if int8 else graph
    rows = [
        _row(graph, estimator, s, block, check, show_layers) for s in (0.0, *sorted(set(sparsity) - {0.0}))
    ]
    if as_json:
        form = {"int8": bool(graph.quantization), "block": block}
        click.echo(to_json({"model": model, "name": graph.name, **form, "predictions": rows}))
        return
    header = ["network", "predicted ms", "times as fast as it is"]
    cells = [
        [_zeros(r["sparsity"]), r["predicted_ms"], rows[0]["predicted_ms"] / r["predicted_ms"]] for r in rows
    ]
    if check:
        header += ["measured ms", "error"]
        cells = [
            [*cell, row["measured_ms"], f"{row['error']:+.1%}"] for cell, row in zip(cells, rows, strict=True)
        ]
    click.echo(render(header, cells))
    for row in rows if show_layers else []:
        click.echo(f"\nlayers {_zeros(row['sparsity'])}")
        click.echo(
            render(["layer", "ms", "family"], [(e["layer"], e["ms"], e["family"]) for e in row["layers"]])
        )


def _zeros(sparsity: float) -> str:
    """What was asked for; nothing is imposed on the first row."""
    return f"at {sparsity:.0%} zeros" if sparsity else "as it is"


def _row(
    graph: Graph, estimator: Estimator, sparsity: float, block: str, check: bool, layers: bool
) -> dict[str, Any]:
    from bench.predict.work import layer_work

    estimates = [estimator.estimate(work) for work in layer_work(graph, sparsity, block)]
    row: dict[str, Any] = {"sparsity": sparsity, "predicted_ms": sum(e.ms for e in estimates)}
    if layers:
        row["layers"] = [asdict(estimate) for estimate in estimates]
    if check:
        from bench.predict.check import measured_ms

        row["measured_ms"] = measured_ms(graph, sparsity, block)
        row["error"] = row["predicted_ms"] / row["measured_ms"] - 1
    return row


def _measure() -> Estimator:
    from bench.kernels.cases import cases
    from bench.measure.output import bar
    from bench.predict import machine
    from bench.subjects.networks import build_graph

    total = len(cases(False)) + machine.STEPS
    with bar(total, "step") as steps:

        def progress(what: str) -> None:
            steps.set_description(what[:60], refresh=False)
            steps.update()

        return machine.measure(build_graph, progress)
