"""``sparsenet info``: what is in a model file."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import click

from sparsenet.commands.options import json_option, model_argument
from sparsenet.graph import Graph, Node, Shape, TensorInfo
from sparsenet.graph.counts import LayerCount, count_layers, quads_kept, total
from sparsenet.graph.integer import integer_nodes
from sparsenet.io.model_file import StoredConstant, load_graph, stored_constants
from sparsenet.text.one_line import one_line
from sparsenet.text.table import render, shape_text, to_json

EPILOG = """\b
Examples:
  sparsenet info model.safetensors
  sparsenet info model.safetensors --json"""

COLUMNS = {
    "layer": "layer",
    "op": "op",
    "output": "output",
    "weights": "weights",
    "nnz": "nnz",
    "sparsity": "sparsity",
    "quads_kept": "1×4 kept",
    "macs": "MACs",
    "nonzero_macs": "MACs kept",
    "computed_in": "computed in",
    "stored_as": "stored as",
    "bytes": "bytes",
}


@click.command(epilog=EPILOG)
@model_argument
@json_option
def info(model: Path, as_json: bool) -> None:
    """Show the layers of MODEL: shapes, weights, sparsity, how they are stored and in how many bytes.

    Sparsity is the fraction of weights that are zero; 1×4 kept the share of blocks of four input channels of an output
    and a tap in which one is not. MACs are multiply-adds for one input; MACs kept leave out those with a zero weight.
    Bytes count the numbers of a layer; the file adds the graph itself. Of a quantized network it is shown, too, which
    layers are computed in integers.
    """
    summary = describe(load_graph(model), stored_constants(model), model.stat().st_size)
    click.echo(to_json(summary) if as_json else _text(summary))


def describe(graph: Graph, stored: list[StoredConstant], file_bytes: int) -> dict[str, Any]:
    """Everything ``info`` shows, as plain values ready for JSON."""
    shapes = graph.shapes()
    counts, integers = count_layers(graph), integer_nodes(graph, shapes)
    by_layer = {count.layer: count for count in counts}
    quads = {node.name: quads_kept(weight) for node, _, weight in graph.weights()}
    # A constant that two layers read is listed with the first: it is in the file once.
    constants = {constant.name: constant for constant in stored}
    layers = []
    for node in graph.nodes:
        own = [constants.pop(name) for name in dict.fromkeys(node.inputs) if name in constants]
        layers.append(_layer(node, shapes[node.output], by_layer.get(node.name), quads.get(node.name), own))
        layers[-1]["computed_in"] = "int8" if node.name in integers else "float32"
    totals = total(counts)
    return {
        "name": graph.name,
        "metadata": graph.metadata,
        "inputs": [_tensor(tensor) for tensor in graph.inputs],
        "outputs": [_tensor(tensor) for tensor in graph.output_infos()],
        "layers": layers,
        "total": dataclasses.asdict(totals)
        | {
            "sparsity": totals.sparsity,
            "constant_bytes": sum(constant.bytes for constant in stored),
            "file_bytes": file_bytes,
        },
    }


def _layer(
    node: Node, shape: Shape, count: LayerCount | None, quads: float | None, own: list[StoredConstant]
) -> dict[str, Any]:
    layer: dict[str, Any] = dict.fromkeys(COLUMNS)
    layer |= {
        "layer": node.name,
        "op": "+".join([node.op, *(step[0] for step in node.epilogue)]),
        "output": list(shape),
        "bytes": sum(constant.bytes for constant in own) or None,
    }
    if count is not None:
        how = next((constant for constant in own if constant.name == node.inputs[1]), None)
        layer |= {
            "weights": count.weights,
            "nnz": count.nnz,
            "sparsity": 1 - count.nnz / count.weights,
            "quads_kept": quads,
            "macs": count.macs,
            "nonzero_macs": count.nonzero_macs,
            "stored_as": f"{how.encoding} {how.values}" if how else "shared",
        }
    return layer


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    described: dict[str, Any] = {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}
    return described | ({"open": list(tensor.open), "step": tensor.step} if tensor.open else {})


def _open_text(tensor: dict[str, Any]) -> str:
    """Which dimensions may be of other sizes, and in what steps."""
    if "open" not in tensor:
        return ""
    steps = f" in steps of {tensor['step']}" if tensor["step"] > 1 else ""
    return f"  open: {', '.join(map(str, tensor['open']))}{steps}"


def _text(summary: dict[str, Any]) -> str:
    sums = summary["total"]
    facts = [("name", summary["name"])]
    facts += [
        (kind, f"{tensor['name']}  {shape_text(tensor['shape'])}  {tensor['dtype']}{_open_text(tensor)}")
        for kind in ("inputs", "outputs")
        for tensor in summary[kind]
    ]
    facts += summary["metadata"].items()
    wide = 1 + max([7, *(len(key) for key, _ in facts if len(key) < 20)])
    quantized = any(layer["computed_in"] == "int8" for layer in summary["layers"])
    columns = {key: title for key, title in COLUMNS.items() if quantized or key != "computed_in"}
    rows = [
        [shape_text(layer[key]) if key == "output" else layer[key] for key in columns]
        for layer in summary["layers"]
    ]
    return "\n".join(
        [
            *(one_line(f"{key:{wide}}{value}") for key, value in facts),
            "",
            render(list(columns.values()), rows),
            "",
            f"{sums['weights']:,} weights, {sums['nnz']:,} of them nonzero (sparsity {sums['sparsity']:.1%})",
            f"{sums['macs']:,} multiply-adds for one input, {sums['nonzero_macs']:,} with a nonzero weight",
            f"{sums['file_bytes']:,} bytes on disk, {sums['constant_bytes']:,} of them numbers",
        ]
    )
