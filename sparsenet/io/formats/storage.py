"""From a constant to the arrays a model file holds for it, and back.

Two choices are made for every weight: the *encoding*, where its nonzeros are (dense, bitmask, CSR), and the
*values*, how each is written (f32, f16, i8). The arrays of all constants are then strung together in pools, one per
kind, in the order of the constants; since every length follows from the shape, the encoding and the arrays read so
far, no lengths are stored that could contradict each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.errors import ModelFileError
from sparsenet.graph import FloatArray
from sparsenet.io.formats import values as value_formats
from sparsenet.io.formats.bitmask import Bitmask
from sparsenet.io.formats.csr import CSR
from sparsenet.io.formats.dense import Dense
from sparsenet.io.formats.matrix import Values, matrix_shape

VALUES = tuple(value_formats.DTYPES)
ENCODINGS = ("dense", "bitmask", "csr")  # of equally small ones the first is taken


class Pool(NamedTuple):
    """The element type of a pool, in NumPy's and in safetensors' words."""

    dtype: np.dtype[Any]
    safetensors: str


#: Every tensor a model file may hold.
POOLS = {
    "values_f32": Pool(np.dtype("<f4"), "F32"),
    "values_f16": Pool(np.dtype("<f2"), "F16"),
    "values_i8": Pool(np.dtype("i1"), "I8"),
    "scales": Pool(np.dtype("<u2"), "U16"),  # bfloat16 bit patterns; NumPy has no such type
    "bitmasks": Pool(np.dtype("u1"), "U8"),
    "indices_u16": Pool(np.dtype("<u2"), "U16"),
    "indices_u32": Pool(np.dtype("<u4"), "U32"),
}

Part = tuple[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Stored:
    """A constant ready to be written: the two choices, and ``(pool, vector)`` pairs in the order they are read."""

    encoding: str
    values: str
    parts: list[Part]

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        return sum(array.nbytes for _, array in self.parts)


def store_weight(weight: FloatArray, values: str, encoding: str | None) -> Stored:
    """Encode the weight of a conv2d or linear; ``encoding`` None takes the smallest.

    Zeros are looked for after rounding, so that what f16 or i8 rounds to zero costs no value.

    Raises:
        ModelFileError: a value is too large for f16.
    """
    if values == "f16" and float(np.abs(weight).max(initial=0.0)) < value_formats.SMALLEST_NORMAL_F16:
        values = "f32"  # all of it would drown in f16's subnormals
    rounded, scales = value_formats.encode(weight, values)
    scale_parts: list[Part] = [] if scales is None else [("scales", scales)]
    candidates = []
    for word in ENCODINGS if encoding is None else (encoding,):
        name, parts = _lay_out(rounded, word, f"values_{values}")
        candidates.append(Stored(name, values, scale_parts + parts))
    return min(candidates, key=lambda stored: stored.nbytes)


def store_constant(array: FloatArray, values: str) -> Stored:
    """Encode any other constant, dense: f32, or f16 where ``values`` is reduced and f16 keeps the array well."""
    kept = "f16" if values != "f32" and value_formats.fits_f16(array) else "f32"
    rounded, _ = value_formats.encode(array, kept)
    return Stored("dense", kept, _lay_out(rounded, "dense", f"values_{kept}")[1])


def _lay_out(rounded: Values, encoding: str, pool: str) -> tuple[str, list[Part]]:
    if encoding == "dense":
        return encoding, [(pool, Dense.from_dense(rounded).values)]
    if encoding == "bitmask":
        bitmask = Bitmask.from_dense(rounded)
        return encoding, [("bitmasks", bitmask.bits), (pool, bitmask.values)]
    csr = CSR.from_dense(rounded)
    columns = "u16" if matrix_shape(csr.shape)[1] <= 2**16 else "u32"
    offsets = "u16" if csr.nnz < 2**16 else "u32"
    return f"csr_{columns}_{offsets}", [
        (f"indices_{offsets}", _narrow(csr.row_offsets, offsets)),
        (f"indices_{columns}", _narrow(csr.col_indices, columns)),
        (pool, csr.values),
    ]


def _narrow(indices: npt.NDArray[np.uint32], width: str) -> npt.NDArray[Any]:
    return indices.astype(POOLS[f"indices_{width}"].dtype)


def restore(pools: PoolReader, shape: tuple[int, ...], encoding: str, values: str) -> FloatArray:
    """Read the next constant from ``pools``, check every number of it, and decode it to dense float32.

    Raises:
        ModelFileError: the choices are unknown, the pools too short, or an index, offset, count or value wrong.
    """
    if values not in VALUES:
        raise ModelFileError(f"has unknown values {values[:20]!r}")
    scales = pools.take("scales", matrix_shape(shape)[0]) if values == "i8" else None
    pool, size = f"values_{values}", math.prod(shape)
    stored: Dense | Bitmask | CSR
    if encoding == "dense":
        stored = Dense(pools.take(pool, size), shape)
    elif encoding == "bitmask":
        bits = pools.take("bitmasks", -(-size // 8))
        stored = Bitmask(pools.take(pool, int(np.bitwise_count(bits).sum())), bits, shape)
    elif encoding in _CSR_ENCODINGS:
        _, columns, widths = encoding.split("_")
        offsets = pools.take(f"indices_{widths}", matrix_shape(shape)[0] + 1).astype(np.uint32)
        nnz = int(offsets[-1])
        indices = pools.take(f"indices_{columns}", nnz).astype(np.uint32)
        stored = CSR(pools.take(pool, nnz), indices, offsets, shape)
    else:
        raise ModelFileError(f"has the unknown encoding {encoding[:20]!r}")
    stored.validate()
    value_formats.validate(stored.values, scales)
    array = value_formats.decode(stored.to_dense(), scales)
    if not np.isfinite(array).all():
        raise ModelFileError("decodes to infinity")
    return array


_CSR_ENCODINGS = frozenset(
    f"csr_{columns}_{offsets}" for columns in ("u16", "u32") for offsets in ("u16", "u32")
)


class PoolWriter:
    """Strings the parts of all constants together, pool by pool."""

    def __init__(self) -> None:
        self._parts: dict[str, list[npt.NDArray[Any]]] = {}

    def add(self, parts: list[Part]) -> None:
        """Append each vector to its pool."""
        for pool, array in parts:
            self._parts.setdefault(pool, []).append(array)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Each pool as one vector; empty ones are left out."""
        joined = {
            pool: np.concatenate(arrays).astype(POOLS[pool].dtype) for pool, arrays in self._parts.items()
        }
        return {pool: vector for pool, vector in joined.items() if vector.size}


class PoolReader:
    """Hands out the pools' vectors in the order they were added."""

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        self._rest = dict(tensors)
        self.bytes_read = 0

    def take(self, pool: str, count: int) -> npt.NDArray[Any]:
        """The next ``count`` elements of ``pool``; ModelFileError if it holds fewer."""
        rest = self._rest.get(pool, np.zeros(0, POOLS[pool].dtype))
        if count > rest.size:
            raise ModelFileError(f"needs {count} more elements of '{pool}', which has {rest.size} left")
        self._rest[pool] = rest[count:]
        self.bytes_read += count * rest.itemsize
        return rest[:count]

    def finish(self) -> None:
        """Raise ModelFileError if anything was left unread."""
        for pool, rest in self._rest.items():
            if rest.size:
                raise ModelFileError(f"has {rest.size} elements in '{pool}' that belong to no constant")
