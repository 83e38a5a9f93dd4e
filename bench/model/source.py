"""What a user may name as MODEL: a model file, an ONNX file, a network of the zoo."""

from __future__ import annotations

from pathlib import Path

from sparsenet import Graph
from sparsenet.errors import InputError


def open_model(name: str, size: int | None = None) -> Graph:
    """The graph behind ``name``: an existing file, or else a network of the zoo with seeded weights.

    Args:
        name: path of a model file or of an .onnx file, or the name of a network.
        size: side of a zoo network's images, in pixels; its own if None.

    Raises:
        InputError: neither a file nor a network, a size for a file, a network of several inputs.
        ModelFileError, UnsupportedOpError: the file cannot be read.
    """
    path = Path(name)
    if path.is_dir():
        raise InputError(f"{name} is a folder: bench needs the model file a bundle was compiled from")
    graph = _open_file(path, size) if path.exists() else _build(name, size)
    if len(graph.inputs) != 1:
        names = ", ".join(info.name for info in graph.inputs)
        raise InputError(f"'{graph.name}' has several inputs ({names}); bench takes networks of one")
    return graph


def _open_file(path: Path, size: int | None) -> Graph:
    if size is not None:
        raise InputError(
            f"--size is for networks of the zoo; the images of {path} have the size it was converted with"
        )
    if path.suffix.lower() == ".onnx":
        from converters import from_onnx

        return from_onnx(path)
    from sparsenet.model_file import load_graph

    return load_graph(path)


def _build(name: str, size: int | None) -> Graph:
    if Path(name).suffix or "/" in name:
        raise InputError(f"{name}: no such file")
    from bench.networks import build_graph

    return build_graph(name, size)
