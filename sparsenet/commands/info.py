"""``sparsenet info``: what is in a model file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
import numpy as np

from sparsenet.commands.options import json_option, model_argument
from sparsenet.commands.table import render, shape_text, to_json
from sparsenet.graph import Graph, Node, Shape, TensorInfo
from sparsenet.model_file import StoredConstant, load_graph, stored_constants

EPILOG = """\b
Examples:
  sparsenet info model.safetensors
  sparsenet info model.safetensors --json"""

COLUMNS = ("layer", "op", "output", "weights", "nnz", "sparsity", "MACs", "MACs kept", "stored as", "bytes")


@click.command(epilog=EPILOG)
@model_argument
@json_option
def info(model: Path, as_json: bool) -> None:
    """Show the layers of MODEL: shapes, weights, sparsity, how they are stored and in how many bytes.

    Sparsity is the fraction of weights that are zero. MACs are multiply-adds for one input; MACs kept leave out those
    with a zero weight. Bytes count the numbers of a layer; the file adds the graph itself.
    """
    summary = describe(load_graph(model), stored_constants(model), model.stat().st_size)
    click.echo(to_json(summary) if as_json else _text(summary))


def describe(graph: Graph, stored: list[StoredConstant], file_bytes: int) -> dict[str, Any]:
    """Everything ``info`` shows, as plain values ready for JSON."""
    shapes = graph.shapes()
    constants = {constant.name: constant for constant in stored}
    layers = [_layer(node, graph, shapes[node.output], constants) for node in graph.nodes]
    total = {key: sum(layer[key] or 0 for layer in layers) for key in ("weights", "nnz", "MACs", "MACs kept")}
    return {
        "name": graph.name,
        "metadata": graph.metadata,
        "inputs": [_tensor(tensor) for tensor in graph.inputs],
        "outputs": [_tensor(tensor) for tensor in graph.output_infos()],
        "layers": layers,
        "total": {
            **total,
            "sparsity": _sparsity(total["weights"], total["nnz"]),
            "constant bytes": sum(constant.bytes for constant in stored),
            "file bytes": file_bytes,
        },
    }


def _layer(node: Node, graph: Graph, shape: Shape, constants: dict[str, StoredConstant]) -> dict[str, Any]:
    # A constant that two layers read is counted with the first: it is in the file once.
    own = [constants.pop(name) for name in dict.fromkeys(node.inputs) if name in constants]
    layer: dict[str, Any] = dict.fromkeys(COLUMNS)
    layer |= {
        "layer": node.name,
        "op": "+".join([node.op, *(step[0] for step in node.epilogue)]),
        "output": list(shape),
        "bytes": sum(constant.bytes for constant in own) or None,
    }
    weight = graph.constants.get(node.inputs[1]) if node.op in ("conv2d", "linear") else None
    if weight is not None:
        nnz, pixels = int(np.count_nonzero(weight)), math.prod(size or 1 for size in shape[2:])
        layer |= {
            "weights": weight.size,
            "nnz": nnz,
            "sparsity": _sparsity(weight.size, nnz),
            "MACs": weight.size * pixels,
            "MACs kept": nnz * pixels,
        }
        how = next((constant for constant in own if constant.name == node.inputs[1]), None)
        layer["stored as"] = f"{how.encoding} {how.values}" if how else "shared"
    return layer


def _sparsity(weights: int, nnz: int) -> float:
    return 1 - nnz / weights if weights else 0.0


def _tensor(tensor: TensorInfo) -> dict[str, Any]:
    return {"name": tensor.name, "shape": list(tensor.shape), "dtype": tensor.dtype}


def _text(summary: dict[str, Any]) -> str:
    total = summary["total"]
    tensors = [
        f"{kind:8}{tensor['name']}  {shape_text(tensor['shape'])}  {tensor['dtype']}"
        for kind in ("inputs", "outputs")
        for tensor in summary[kind]
    ]
    rows = [
        [shape_text(layer[key]) if key == "output" else layer[key] for key in COLUMNS]
        for layer in summary["layers"]
    ]
    return "\n".join(
        [
            f"{'name':8}{summary['name']}",
            *tensors,
            *(f"{key:8}{value}" for key, value in summary["metadata"].items()),
            "",
            render(COLUMNS, rows),
            "",
            f"{total['weights']:,} weights, {total['nnz']:,} of them nonzero (sparsity {total['sparsity']:.1%})",
            f"{total['MACs']:,} multiply-adds for one input, {total['MACs kept']:,} with a nonzero weight",
            f"{total['file bytes']:,} bytes on disk, {total['constant bytes']:,} of them numbers",
        ]
    )
