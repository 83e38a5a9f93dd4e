"""What a user may name as MODEL: a model file, an ONNX file, a network of the zoo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sparsenet import Graph
from sparsenet.errors import InputError
from sparsenet.io.files import is_folder
from sparsenet.io.networks import is_network, make_network


def open_model(
    name: str,
    size: int | None = None,
    *,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
    dims: Mapping[str, int] | None = None,
) -> Graph:
    """The graph behind ``name``: an existing file, or else a network of the zoo with seeded weights.

    Args:
        name: path of a model file or of an .onnx file, or the name of a network.
        size: side of a zoo network's images, in pixels; its own if None.
        shapes, dims: sizes that an .onnx file leaves open (see ``from_onnx``).

    Raises:
        InputError: neither a file nor a network, a size for what has its own, a network of several inputs.
        ModelFileError, UnsupportedOpError: the file cannot be read.
    """
    path = Path(name)
    if is_folder(path):
        raise InputError(f"{name} is a folder: bench needs the model file a bundle was compiled from")
    if onnx_file(name):
        from converters import from_onnx

        _refuse_size(path, size)
        graph = from_onnx(path, shapes=shapes, dims=dims)
    elif shapes or dims:
        raise InputError(
            f"{name} is no ONNX file: --shape and --dim are for those that leave dimensions open"
        )
    else:
        graph = _open_file(path, size) if path.exists() else _build(name, size)
    if len(graph.inputs) != 1:
        names = ", ".join(info.name for info in graph.inputs)
        raise InputError(f"'{graph.name}' has several inputs ({names}); bench takes networks of one")
    return graph


def onnx_file(name: str) -> Path | None:
    """The path behind ``name`` if that is an ONNX file."""
    path = Path(name)
    return path if path.suffix.lower() == ".onnx" and path.exists() else None


def _open_file(path: Path, size: int | None) -> Graph:
    from sparsenet.io.model_file import load_graph

    _refuse_size(path, size)
    return load_graph(path)


def _refuse_size(path: Path, size: int | None) -> None:
    if size is not None:
        instead = "take --shape" if path.suffix.lower() == ".onnx" else "have the size it was converted with"
        raise InputError(f"--size is for networks of the zoo; the images of {path} {instead}")


def _build(name: str, size: int | None) -> Graph:
    from bench.subjects.networks import CLASSES, build_graph

    if name in CLASSES:
        return build_graph(name, size)
    if "/" in name or (Path(name).suffix and not is_network(name)):
        raise InputError(f"{name}: no such file")
    return make_network(name, size)
