"""What ``sparsenet prune --calibrate`` writes: a model file, or what it was given, with other weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.passes.optimize import optimize
from converters.pruning.layers import prepared
from converters.pruning.prune import METADATA
from sparsenet.errors import InputError
from sparsenet.graph import Graph

if TYPE_CHECKING:
    from converters.writing.onnx_model import OnnxTarget
    from converters.writing.torch_module import TorchTarget

#: The passes that leave every tensor as wide as in what will be written.
_WITH_ALL_CHANNELS = partial(optimize, reduce=False)


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

    if options["int8"] and (path.suffix.lower() == ".onnx" or options["kind"] == "weights"):
        raise InputError(
            f"{path}: networks in 8-bit integers are written as model files (.safetensors) alone"
        )
    sizes = {name: options[name] for name in ("shapes", "dims")}
    image_size = options["image_size"] or None
    if options["kind"] == "weights":
        return _weights(model, path, image_size, options)
    if path.suffix.lower() == ".onnx":
        return _onnx(model, path, image_size, options)
    if options["sparse_initializers"]:
        raise InputError(f"--sparse-initializers is for ONNX, and {path} will be a model file: name it .onnx")
    return Output(open_graph(model, image_size, **sizes), lambda graph: save(graph, path))


def _onnx(model: Path, path: Path, image_size: tuple[int, int] | None, options: dict[str, Any]) -> Output:
    from converters.conversion.sources import open_source
    from converters.writing.onnx_model import OnnxTarget

    if model.suffix.lower() != ".onnx":
        raise InputError(
            f"{path}: only an .onnx model is written as one, with other weights, and {model} is none; "
            "write a model file (.safetensors)"
        )
    source = open_source(model, image_size=image_size, shapes=options["shapes"], dims=options["dims"])
    graph = source.converted(_WITH_ALL_CHANNELS)
    target, sparse = OnnxTarget(model, graph.inputs), options["sparse_initializers"]
    return Output(graph, lambda pruned: target.write(pruned, path, sparse), _refused(graph, target, options))


def _weights(model: Path, path: Path, image_size: tuple[int, int] | None, options: dict[str, Any]) -> Output:
    from converters.conversion.sources import trained_source
    from converters.writing.torch_module import TorchTarget
    from training.checkpoint import save_model
    from training.trained import open_model

    if options["shapes"] or options["dims"] or options["sparse_initializers"]:
        raise InputError(
            "--shape, --dim and --sparse-initializers are for ONNX: leave them out with --as weights"
        )
    if path.suffix.lower() == ".onnx":
        raise InputError(
            f"{path}: weights are no ONNX model: name it .safetensors, or leave out --as weights"
        )
    module, info = open_model(model)
    source = trained_source(module, info, image_size=image_size)
    graph = source.converted(_WITH_ALL_CHANNELS)
    target = TorchTarget(module, source)

    def write(pruned: Graph) -> None:
        target.write(pruned)
        save_model(path, module, replace(info, notes=info.notes | {"pruned": pruned.metadata[METADATA]}))

    return Output(graph, write, _refused(graph, target, options))


def _refused(graph: Graph, target: OnnxTarget | TorchTarget, options: dict[str, Any]) -> tuple[str, ...]:
    """The layers that are to be pruned, and could not be written."""
    layers = prepared(graph, options["exclude"])[1]
    return tuple(layer.name for layer in layers if not target.takes(layer.name))
