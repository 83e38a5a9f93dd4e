"""ONNX files → a self-contained ModelProto, reading nothing outside the model's own folder.

A model may keep weights in files beside it and names them by relative path. A crafted name could point anywhere
(CVE-2025-51480), so a path that leaves the folder or passes through a symbolic link is an error, and so is a file with
a second name, a hard link, somewhere.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from converters.onnx.functions import inline_functions
from sparsenet.checks import path_of
from sparsenet.errors import MemoryLimitError, MissingExtraError, ModelFileError
from sparsenet.io.files import open_regular, read_whole
from sparsenet.io.graph_json import MAX_NAME
from sparsenet.limits import Budget, memory_limit, require_memory

if TYPE_CHECKING:
    import onnx

OnnxLike = Any  # str | os.PathLike[str] | bytes | onnx.ModelProto

#: The onnx.TensorProto.DataType that share bytes, and their bits: uint4, int4, float4e2m1, uint2, int2.
PACKED_BITS = {21: 4, 22: 4, 23: 4, 25: 2, 26: 2}


def load_model(source: OnnxLike) -> tuple[onnx.ModelProto, str]:
    """The model with every tensor's data inside, and a name for it.

    Raises:
        ModelFileError: no such file, not an ONNX model, or external data that is missing, of the wrong size or
            outside the model's folder.
        MemoryLimitError: the file or its external data takes more than ``limits.memory_limit``.
        UnsupportedOpError: it has too many nodes, its functions inlined, or one that calls itself.
        MissingExtraError: onnx is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("reading an ONNX model", "onnx") from error
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    if not isinstance(source, onnx.ModelProto | bytes | bytearray | memoryview):
        source = path_of(source, "model")
    folder, name, shown = None, "model", "model"
    if isinstance(source, onnx.ModelProto):
        model = onnx.ModelProto()
        model.CopyFrom(source)
    else:
        try:
            if isinstance(source, bytes | bytearray | memoryview):
                content = bytes(source)
            else:
                path = source
                folder, name, shown = path.absolute().parent, path.stem, path.name
                content = read_whole(path, memory_limit())
            model = onnx.load_model_from_string(content)
        except OSError as error:
            raise ModelFileError(f"cannot read ONNX model '{source}': {error.strerror}") from error
        except MemoryLimitError as error:
            raise MemoryLimitError(f"cannot read ONNX model '{source}': {error}") from None
        except DecodeError as error:
            raise ModelFileError(f"'{shown}' is not an ONNX model: {one_line(error)}") from error
    if not model.HasField("graph") or not model.opset_import:
        raise ModelFileError(f"'{shown}' is not an ONNX model: it has no graph or no opset")
    model = inline_functions(model)
    _check_names(model.graph)
    budget = Budget("the external data of the model")
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            tensor.raw_data = _external_bytes(tensor, folder, budget)
            del tensor.external_data[:]
            tensor.data_location = onnx.TensorProto.DEFAULT
    return model, model.graph.name if folder is None and model.graph.name else name


def external_files(path: Path) -> Iterator[Path]:
    """The files beside a model that its tensors are kept in; none if it cannot be read: ``load_model`` says why."""
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_model_from_string(read_whole(path, memory_limit()))
    except (OSError, MemoryLimitError, DecodeError):
        return
    functions = (onnx.GraphProto(node=function.node) for function in model.functions)
    for tensor in itertools.chain.from_iterable(map(_tensors, (model.graph, *functions))):
        locations = [entry.value for entry in tensor.external_data if entry.key == "location"]
        if tensor.data_location == onnx.TensorProto.EXTERNAL and locations and "\0" not in str(locations[-1]):
            yield path.parent / str(locations[-1])


def tensor_array(tensor: onnx.TensorProto) -> np.ndarray:
    """A tensor's values; floats of any width as float32. ModelFileError if its data does not fit its shape."""
    from onnx import TensorProto, numpy_helper

    if tensor.data_location == TensorProto.EXTERNAL:  # onnx would look for it in the current folder
        raise ModelFileError(
            f"tensor '{tensor.name}' keeps its data outside the model in a place where none may"
        )
    try:
        array = np.array(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, OverflowError, MemoryError, RuntimeError) as error:
        raise ModelFileError(
            f"tensor '{tensor.name}' of the ONNX model is damaged: {one_line(error)}"
        ) from error
    return _plain(array)


def sparse_tensor_array(tensor: onnx.SparseTensorProto) -> np.ndarray:
    """A sparse initializer as a dense array; ModelFileError if an index is out of range."""
    values, indices, dims = tensor_array(tensor.values), tensor_array(tensor.indices), tuple(tensor.dims)
    name = tensor.values.name
    if any(d < 1 for d in dims):
        raise ModelFileError(f"sparse tensor '{name}' has the impossible shape {dims}")
    require_memory(16 * math.prod(dims), f"sparse tensor '{name}' of shape {dims}")
    if indices.ndim == 2 and indices.shape[1] == len(dims) and ((indices >= 0) & (indices < dims)).all():
        indices = np.ravel_multi_index(tuple(indices.T), dims)
    if (
        indices.shape != values.shape
        or values.ndim != 1
        or ((indices < 0) | (indices >= math.prod(dims))).any()
    ):
        raise ModelFileError(f"sparse tensor '{name}' has indices that do not fit shape {dims}")
    dense = np.zeros(math.prod(dims), values.dtype)
    dense[indices] = values
    return dense.reshape(dims)


def one_line(error: Exception) -> str:
    """The first line of a foreign error's message, or its kind."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def _plain(array: np.ndarray) -> np.ndarray:
    """float16, bfloat16 and float64 as float32; everything else as it is."""
    wide = array.dtype.kind == "f" or array.dtype.name.startswith("bfloat")
    return array.astype(np.float32) if wide else array


def _check_names(graph: onnx.GraphProto) -> None:
    """Raise ModelFileError for names that no model file may hold, and no terminal should be shown."""
    names = [graph.name, *(value.name for value in (*graph.initializer, *graph.input, *graph.output))]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    for name in names:
        # protobuf hands out bytes where a text is not valid UTF-8
        if not isinstance(name, str) or len(name) > MAX_NAME or not name.isprintable():
            raise ModelFileError(
                f"the ONNX model has the name {name!a:.60}, of {len(name)} characters; names must be printable "
                f"text and have at most {MAX_NAME}"
            )


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every tensor stored in a graph and its subgraphs: initializers and attributes."""
    yield from graph.initializer
    sparse = list(graph.sparse_initializer)
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("sparse_tensor"):
                sparse.append(attribute.sparse_tensor)
            sparse += attribute.sparse_tensors
            for subgraph in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
                yield from _tensors(subgraph)  # no deeper than protobuf lets messages nest
    for each in sparse:
        yield each.values
        yield each.indices


def _external_bytes(tensor: onnx.TensorProto, folder: Path | None, budget: Budget) -> bytes:
    from onnx import helper

    what = f"external data of tensor '{tensor.name}'"
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    if not isinstance(location, str):
        raise ModelFileError(f"{what} has a damaged description")
    if folder is None:
        raise ModelFileError(f"{what} is in '{location}'; give the path of the model instead of its bytes")
    path = _confined(folder, location, what)
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", -1))
        item = 8 * np.dtype(helper.tensor_dtype_to_np_dtype(tensor.data_type)).itemsize
        item = PACKED_BITS.get(tensor.data_type, item)
    except (ValueError, KeyError, TypeError) as error:
        raise ModelFileError(f"{what} has a damaged description: {error}") from error
    expected = -(-math.prod(tensor.dims) * item // 8)
    if any(d < 0 for d in tensor.dims) or offset < 0 or length not in (-1, expected):
        raise ModelFileError(
            f"{what}: {length} bytes do not fit shape {tuple(tensor.dims)} ({expected} bytes)"
        )
    budget.take(expected)
    try:
        # A link put in place after the check must not be followed.
        with open_regular(path, getattr(os, "O_NOFOLLOW", 0)) as file:
            status = os.fstat(file.fileno())
            if status.st_nlink > 1:
                raise ModelFileError(f"{what}: '{location}' is a hard link, which may be any file: copy it")
            if offset + expected > status.st_size:
                raise ModelFileError(f"{what}: '{location}' ends before byte {offset + expected}")
            file.seek(offset)
            return file.read(expected)
    except OSError as error:
        raise ModelFileError(f"{what}: cannot read '{location}': {error.strerror or error}") from error


def _confined(folder: Path, location: str, what: str) -> Path:
    """``folder / location``, provided that it stays inside and passes through no symbolic link."""
    posix, windows = PurePosixPath(location), PureWindowsPath(location)
    parts = {*posix.parts, *windows.parts}
    if not location or "\0" in location or ".." in parts or posix.is_absolute() or windows.anchor:
        raise ModelFileError(f"{what} points outside the model's folder: '{location}'")
    path = folder
    for part in posix.parts:
        path = path / part
        if path.is_symlink():
            raise ModelFileError(
                f"{what} passes through the symbolic link '{path.name}', which is not followed"
            )
    return path
