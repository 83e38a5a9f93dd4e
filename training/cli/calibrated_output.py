"""What ``sparsenet prune --calibrate`` writes: a model file, or its ONNX model with other weights."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparsenet.errors import InputError
from sparsenet.graph import Graph


@dataclass(frozen=True)
class Output:
    """A network, and how it will be written.

    Attributes:
        graph: as it was opened.
        write: writes a pruned one.
        dense: layers that stay as they are, since they could not be written.
    """

    graph: Graph
    write: Callable[[Graph], None]
    dense: tuple[str, ...] = ()


def opened(model: Path, path: Path, options: dict[str, Any]) -> Output:
    """Open ``model`` so that it can be written to ``path``, whose suffix says as what.

    Raises:
        InputError: it is no ONNX model but is to be written as one, or an option is for another kind of file.
        SparsenetError: whatever the importer or the loader has to say.
    """
    from converters.conversion.sources import open_graph
    from sparsenet.io.model_file import save

    sizes = {name: options[name] for name in ("shapes", "dims")}
    image_size = options["image_size"] or None
    if path.suffix.lower() == ".onnx":
        if options["int8"]:
            raise InputError(
                f"{path}: networks in 8-bit integers are written as model files (.safetensors) alone"
            )
        return _onnx(model, path, image_size, options["sparse_initializers"], sizes, options["exclude"])
    if options["sparse_initializers"]:
        raise InputError(f"--sparse-initializers is for ONNX, and {path} will be a model file: name it .onnx")
    return Output(open_graph(model, image_size, **sizes), lambda graph: save(graph, path))


def _onnx(
    model: Path,
    path: Path,
    image_size: tuple[int, int] | None,
    sparse: bool,
    sizes: dict[str, Any],
    exclude: tuple[str, ...],
) -> Output:
    from converters.conversion.sources import open_source
    from converters.passes.optimize import optimize
    from converters.pruning.layers import prepared
    from converters.writing.onnx_model import OnnxTarget

    if model.suffix.lower() != ".onnx":
        raise InputError(
            f"{path}: only an .onnx model is written as one, with other weights, and {model} is none; "
            "write a model file (.safetensors)"
        )
    source = open_source(model, image_size=image_size, **sizes)
    graph = source.converted(functools.partial(optimize, reduce=False))  # the model has all its channels
    target = OnnxTarget(model, graph.inputs)
    dense = tuple(layer.name for layer in prepared(graph, exclude)[1] if not target.takes(layer.name))
    return Output(graph, lambda pruned: target.write(pruned, path, sparse), dense)
