"""Model files: ``save`` a Graph, ``load_graph`` it again. The byte-level description is docs/model_file.md.

A model file is one .safetensors: the graph as JSON in its metadata, and the numbers of all constants pooled into
one tensor per kind (all int8 values in one, all bitmasks in another, …), because one header entry per array would
double what a small network spends on anything but its weights. Loading checks everything and executes nothing, so a
file from a stranger can at worst be refused; kernels, which do no bounds checks, only ever see what passed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.checks import path_of, shown
from sparsenet.errors import GraphError, InputError, MemoryLimitError, ModelFileError
from sparsenet.graph import Graph
from sparsenet.graph.constants import Constants, encoded
from sparsenet.graph.types import I8
from sparsenet.io import graph_json, strict_json
from sparsenet.io.files import open_regular, read_whole, write_atomically
from sparsenet.io.formats import storage
from sparsenet.io.formats.storage import POOLS, PoolReader, PoolWriter, StoredWeight
from sparsenet.io.graph_json import ConstantEntry
from sparsenet.io.safetensors_file import unpack
from sparsenet.limits import enough_memory, memory_limit, require_memory

FORMAT = "sparsenet"
#: The newest version, of files with quantized tensors; all others are written as version 1.
FORMAT_VERSION = 2

#: Dense values a file may decode to: this many, and in large files this many per byte. A channel of zeros costs CSR
#: two bytes whatever its length, so the second must be generous; the first keeps a tiny file from filling the memory.
MAX_DENSE_VALUES = 2**24
MAX_DENSE_VALUES_PER_BYTE = 4096
#: Bytes of the header, the graph's JSON among them: parsed, each can take up to 30.
MAX_HEADER_BYTES = 2**24
#: Values any tensor of the graph may have per sample.
MAX_TENSOR_VALUES = 2**31 - 1


@dataclass(frozen=True)
class StoredConstant:
    """The size of one constant in a file: ``bytes`` counts values, scales and indices, not its line of JSON."""

    name: str
    shape: tuple[int, ...]
    encoding: str
    values: str
    nnz: int
    bytes: int


def save(
    graph: Graph, path: str | os.PathLike[str], values: str | None = None, *, encoding: str | None = None
) -> None:
    """Write ``graph`` to ``path``: to a temporary file beside it first, which then takes its name.

    Args:
        graph: what to store; verified first.
        path: the file, by convention ``*.safetensors``.
        values: how weights of conv2d and linear are written: "f32" (exact), "f16", or "i8" (one scale per output
            channel). For the latter two all other constants become f16 where that keeps them to 2⁻¹¹ of their
            largest magnitude, f32 elsewhere. By default, constants that were read from a model file are written as
            they were there, unless they have been changed, all others as "f32". Quantized constants are always
            written as their integers, which is exact.
        encoding: "dense", "csr" or "bitmask" for all those weights; by default, for each that is not written as it was
            read, whichever is smallest.

    Raises:
        InputError: ``graph`` is none, or ``path`` no path.
        GraphError: the graph breaks a rule.
        ModelFileError: unknown ``values`` or ``encoding``, a value too large for f16 or off its grid, something a
            model file cannot hold, or the folder cannot be written.
    """
    target = path_of(path)
    try:
        with enough_memory("the file's bytes"):
            data = serialize(graph, values, encoding)
            deserialize(data)  # a file that would be refused later must not be written now
        write_atomically(target, data)
    except ModelFileError as error:
        raise ModelFileError(f"{target}: {error}") from None
    except OSError as error:
        raise ModelFileError(f"{target}: cannot be written: {error.strerror or error}") from None


def load_graph(path: str | os.PathLike[str]) -> Graph:
    """Read the Graph in the model file ``path``; its constants are decoded to dense float32 when first asked for.

    Raises:
        ModelFileError: the file is missing, truncated, tampered with, from a newer format, or not a model file.
        MemoryLimitError: the file or its decoded weights take more than ``limits.memory_limit``.
    """
    return _read(path_of(path))[0]


def is_model_file(path: str | os.PathLike[str]) -> bool:
    """Whether the file says of itself that it is a model file; False if it cannot be read."""
    try:
        with open_regular(path) as file:
            length = int.from_bytes(file.read(8), "little")
            header = strict_json.parse(file.read(length)) if length <= MAX_HEADER_BYTES else {}
        return bool(header["__metadata__"]["format"] == FORMAT)
    except (OSError, ValueError, TypeError, KeyError):
        return False


def stored_constants(path: str | os.PathLike[str]) -> list[StoredConstant]:
    """How every constant of the model file ``path`` is stored, in file order.

    Raises:
        ModelFileError: as ``load_graph``.
    """
    return _read(path_of(path))[1]


def serialize(graph: Graph, values: str | None = None, encoding: str | None = None) -> bytes:
    """The bytes ``save`` writes: the same for the same graph, everywhere.

    Raises:
        InputError, GraphError, ModelFileError: as ``save``.
    """
    if not isinstance(graph, Graph):
        raise InputError(f"graph must be a Graph, got {shown(graph)}")
    if values is not None and not (isinstance(values, str) and values in storage.VALUES):
        raise ModelFileError(f"values must be one of {', '.join(storage.VALUES)}, got {shown(values)}")
    if encoding is not None and not (isinstance(encoding, str) and encoding in storage.ENCODINGS):
        raise ModelFileError(
            f"encoding must be one of {', '.join(storage.ENCODINGS)} or None, got {shown(encoding)}"
        )
    graph.verify()
    weights = {name for _, name in graph.weight_names()}
    pools = PoolWriter()
    entries = []
    for name in graph.constants:
        try:
            stored = _stored(graph, name, name in weights, values, encoding)
        except ModelFileError as error:
            raise ModelFileError(f"constant '{name}' {error}") from None
        entries.append(ConstantEntry(name, stored.shape, stored.word, stored.values))
        pools.add(stored.parts)
    text = graph_json.dump(graph, entries)
    tensors = pools.tensors()
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION if graph.quantization else 1),
        "graph": text,
        "sha256": _checksum(text, tensors),
    }
    return _to_safetensors(tensors, metadata)


def _stored(
    graph: Graph, name: str, is_weight: bool, values: str | None, encoding: str | None
) -> StoredWeight:
    """A constant as it is to be written: as it was read, where nothing else is asked for."""
    grid, as_read = graph.quantization.get(name), encoded(graph.constants, name)
    if not isinstance(as_read, StoredWeight) or (is_weight and encoding not in (None, as_read.encoding)):
        as_read = None
    if grid is not None and grid.element is I8:
        if as_read and as_read.grid and as_read.grid.same_grid(grid):
            return as_read
        return storage.store_on_grid(graph.constants[name], grid, encoding if is_weight else "dense")
    if as_read and as_read.grid is None and values in (None, as_read.values):
        return as_read
    if is_weight:
        return storage.store_weight(graph.constants[name], values or "f32", encoding)
    return storage.store_constant(graph.constants[name], values or "f32")


def deserialize(data: bytes) -> tuple[Graph, list[StoredConstant]]:
    """The Graph in the bytes of a model file, and how its constants are stored there.

    Raises:
        ModelFileError: with what is wrong, the file not named.
        MemoryLimitError: its decoded weights take more than ``limits.memory_limit``.
    """
    if len(data) >= 8 and MAX_HEADER_BYTES < (length := int.from_bytes(data[:8], "little")) <= len(data):
        raise ModelFileError(f"has a header of {length} bytes, the limit is {MAX_HEADER_BYTES}")
    stored_pools, metadata = _from_safetensors(data)
    version = _version(metadata)
    tensors = _pools(stored_pools)
    for key in ("graph", "sha256"):
        if key not in metadata:
            raise ModelFileError(f"lacks '{key}' in its metadata")
    if metadata["sha256"] != _checksum(metadata["graph"], tensors):
        raise ModelFileError("is damaged or was changed: its SHA-256 does not match")
    graph, entries = graph_json.parse(metadata["graph"])

    total = sum(math.prod(entry.shape) for entry in entries)
    if total > max(MAX_DENSE_VALUES, MAX_DENSE_VALUES_PER_BYTE * len(data)):
        raise ModelFileError(f"claims {total} weights in {len(data)} bytes, more than a model file may")
    require_memory(4 * total, "the decoded weights")
    pools = PoolReader(tensors)
    constants, costs = Constants(), []
    for entry in entries:
        before = pools.bytes_read
        try:
            stored = storage.restore(pools, entry.shape, entry.encoding, entry.values)
        except ModelFileError as error:
            raise ModelFileError(f"constant '{entry.name}' {error}") from None
        if entry.name in constants:
            raise ModelFileError(f"constant '{entry.name}' is defined twice")
        if (stored.encoding, stored.values) == ("dense", "f32"):
            constants[entry.name] = stored.dense()
        else:
            constants.hold(entry.name, stored)
        if stored.grid is not None:
            graph.quantization[entry.name] = stored.grid
        size = pools.bytes_read - before
        costs.append(StoredConstant(entry.name, entry.shape, entry.encoding, entry.values, stored.nnz, size))
    graph.constants = constants
    pools.finish()
    if graph.quantization and version == 1:
        raise ModelFileError("has format version 1, but quantized tensors, which only version 2 may have")
    try:
        graph.verify()
        for name, shape in graph.shapes().items():
            if math.prod(d for d in shape if d is not None) > MAX_TENSOR_VALUES:
                raise GraphError(f"tensor '{name}' of shape {shape} is too large")
    except GraphError as error:
        raise ModelFileError(f"holds a broken graph: {error}") from None
    return graph, costs


def _read(path: Path) -> tuple[Graph, list[StoredConstant]]:
    try:
        with enough_memory("the model"):
            return deserialize(read_whole(path, memory_limit()))
    except FileNotFoundError:
        raise ModelFileError(f"{path}: no such file") from None
    except OSError as error:
        raise ModelFileError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ModelFileError, MemoryLimitError) as error:
        raise type(error)(f"{path}: {error}") from None


def _version(metadata: Mapping[str, str]) -> int:
    if metadata.get("format") != FORMAT:
        raise ModelFileError(
            "is a safetensors file, but not a sparsenet model; make one with `sparsenet convert`"
        )
    version = metadata.get("format_version", "")
    if version.isdecimal() and version.isascii() and len(version) < 10 and int(version) > FORMAT_VERSION:
        raise ModelFileError(
            f"has format version {version}; this sparsenet reads 1 to {FORMAT_VERSION}: upgrade it"
        )
    if version not in map(str, range(1, FORMAT_VERSION + 1)):
        raise ModelFileError(f"has the unknown format version {version[:20]!r}")
    return int(version)


def _checksum(text: str, tensors: Mapping[str, npt.NDArray[Any]]) -> str:
    """SHA-256 over the graph's JSON, then every tensor's bytes by ascending name; independent of their file order."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        digest.update(np.ascontiguousarray(tensors[name]).data)
    return digest.hexdigest()


def _to_safetensors(tensors: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """Lay out a safetensors file. Not left to the library, which writes metadata in random order."""
    header: dict[str, Any] = {"__metadata__": metadata}
    offset = 0
    ordered = sorted(
        tensors.items(), key=lambda item: (-item[1].itemsize, item[0])
    )  # largest first: all aligned
    for name, array in ordered:
        end = offset + array.nbytes
        header[name] = {
            "dtype": POOLS[name].safetensors,
            "shape": [array.size],
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *(array.tobytes() for _, array in ordered)])


def _from_safetensors(data: bytes) -> tuple[list[tuple[str, dict[str, Any]]], dict[str, str]]:
    try:
        return unpack(data)
    except ValueError as error:
        raise ModelFileError(
            f"is truncated or not a safetensors file ({error}); `sparsenet convert` makes model files"
        ) from None


def _pools(entries: list[tuple[str, dict[str, Any]]]) -> dict[str, npt.NDArray[Any]]:
    tensors = {}
    for name, entry in entries:
        pool = POOLS.get(name)
        if (
            pool is None
            or entry["dtype"] != pool.safetensors
            or len(entry["shape"]) != 1
            or not entry["data"]
        ):
            raise ModelFileError(f"has the tensor {name[:60]!r}, which no model file holds in that form")
        tensors[name] = np.frombuffer(entry["data"], pool.dtype)
    return tensors
