"""A constant as a model file has it, made from an array or read from a file.

Two choices are made for every weight: the *encoding*, where its nonzeros are (dense, bitmask, CSR), and the
*values*, how each is written (f32, f16, i8). The arrays of all constants are then strung together in pools, one per
kind, in the order of the constants; since every length follows from the shape, the encoding and the arrays read so
far, no lengths are stored that could contradict each other. A quantized constant is stored as its integers and its
grid: values "i8_row" or "i8_tensor".
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sparsenet.errors import ModelFileError
from sparsenet.graph.quantization import Quantization
from sparsenet.graph.types import FloatArray
from sparsenet.io.formats import values as value_formats
from sparsenet.io.formats.bitmask import Bitmask
from sparsenet.io.formats.csr import CSR
from sparsenet.io.formats.dense import Dense
from sparsenet.io.formats.matrix import Values, matrix_shape

#: How values may be asked to be written; quantized constants are always written as one of ``GRIDS``.
VALUES = tuple(value_formats.DTYPES)
GRIDS = ("i8_row", "i8_tensor")
ENCODINGS = ("dense", "bitmask", "csr")  # of equally small ones the first is taken


class Pool(NamedTuple):
    """The element type of a pool, by its names in NumPy and in safetensors."""

    dtype: np.dtype[Any]
    safetensors: str


#: Every tensor a model file may hold.
POOLS = {
    "values_f32": Pool(np.dtype("<f4"), "F32"),
    "values_f16": Pool(np.dtype("<f2"), "F16"),
    "values_i8": Pool(np.dtype("i1"), "I8"),
    "scales": Pool(np.dtype("<u2"), "U16"),  # bfloat16 bit patterns; NumPy has no such type
    "scales_f32": Pool(np.dtype("<f4"), "F32"),
    "bitmasks": Pool(np.dtype("u1"), "U8"),
    "indices_u16": Pool(np.dtype("<u2"), "U16"),
    "indices_u32": Pool(np.dtype("<u4"), "U32"),
}

Part = tuple[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class StoredWeight:
    """A constant as a model file has it: where its values are, how each is written, and what to multiply them with.

    Attributes:
        form: positions and values, of one of the dtypes in ``values.DTYPES``; nobody changes them.
        scales: for int8 values (C_out,) bfloat16 bit patterns, or the grid's float32 scales, (C_out,) or (); else None.
    """

    form: Dense | Bitmask | CSR
    scales: value_formats.Scales | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the constant."""
        return self.form.shape

    @property
    def values(self) -> str:
        """How each value is written: one of ``VALUES`` or ``GRIDS``."""
        if self.grid is None:
            return _VALUES_OF[self.form.values.dtype]
        return GRIDS[self.grid.axis is None]

    @property
    def grid(self) -> Quantization | None:
        """The quantization of the constant; None if it has none."""
        if self.scales is None or self.scales.dtype != np.float32:
            return None
        return Quantization.of_weights(self.scales)

    @property
    def encoding(self) -> str:
        """One of ``ENCODINGS``."""
        return {Dense: "dense", Bitmask: "bitmask", CSR: "csr"}[type(self.form)]

    @property
    def word(self) -> str:
        """The encoding with the widths of its indices, as a model file has it."""
        return "_".join([self.encoding, *(_widths(self.form) if isinstance(self.form, CSR) else ())])

    @property
    def parts(self) -> list[Part]:
        """``(pool, vector)`` pairs in the order in which they are read."""
        form, values = self.form, f"values_{_VALUES_OF[self.form.values.dtype]}"
        parts: list[Part] = []
        if self.scales is not None:
            parts.append(("scales" if self.grid is None else "scales_f32", self.scales.reshape(-1)))
        if isinstance(form, Bitmask):
            parts.append(("bitmasks", form.bits))
        elif isinstance(form, CSR):
            columns, offsets = (f"indices_{width}" for width in _widths(form))
            parts += [(offsets, form.row_offsets), (columns, form.col_indices)]
        return [
            (pool, array.astype(POOLS[pool].dtype, copy=False))
            for pool, array in [*parts, (values, form.values)]
        ]

    @property
    def nbytes(self) -> int:
        """Bytes of all parts."""
        return sum(array.nbytes for _, array in self.parts)

    @property
    def nnz(self) -> int:
        """How many elements are not zero."""
        values = self.form.values
        if self.scales is None or self.scales.all():
            return int(np.count_nonzero(values))
        return int(np.count_nonzero(self.scales[self.form.rows()][values != 0]))

    def dense(self) -> FloatArray:
        """The constant as float32, exactly, in memory of its own."""
        return value_formats.decode(self.form.to_dense(), self.scales)

    def integers(self) -> npt.NDArray[np.int8]:
        """The integers of a quantized constant, in its shape and in memory of their own."""
        integers: npt.NDArray[np.int8] = self.form.to_dense()
        return integers

    def csr(self) -> CSR:
        """The elements that are not zero, float32."""
        if isinstance(self.form, Dense):
            return CSR.from_dense(self.dense())
        rows = self.form.rows()
        scales = self.scales[rows] if self.scales is not None and self.scales.ndim else self.scales
        values = value_formats.decode(self.form.values, scales)
        kept = values != 0
        offsets = np.zeros(matrix_shape(self.shape)[0] + 1, np.uint32)
        offsets[1:] = np.cumsum(np.bincount(rows[kept], minlength=offsets.size - 1))
        return CSR(values[kept], self.form.columns()[kept], offsets, self.shape)

    def validate(self) -> None:
        """Raise ModelFileError unless positions, values and scales are right and every element is a finite float32."""
        self.form.validate()
        value_formats.validate(self.form.values, self.scales)
        if value_formats.may_overflow(self.scales) and not np.isfinite(self.dense()).all():
            raise ModelFileError("decodes to infinity")


_VALUES_OF = {dtype: name for name, dtype in value_formats.DTYPES.items()}
_FORMS: dict[str, type[Dense | Bitmask | CSR]] = {"dense": Dense, "bitmask": Bitmask, "csr": CSR}


def _widths(csr: CSR) -> tuple[str, str]:
    """The smallest unsigned types that hold its columns and its row offsets."""
    return "u16" if matrix_shape(csr.shape)[1] <= 2**16 else "u32", "u16" if csr.nnz < 2**16 else "u32"


def store_weight(weight: FloatArray, values: str, encoding: str | None) -> StoredWeight:
    """Encode the weight of a conv2d or linear; ``encoding`` None takes the smallest.

    Zeros are looked for after rounding, so that what f16 or i8 rounds to zero costs no value.

    Raises:
        ModelFileError: a value is too large for f16.
    """
    if values == "f16" and float(np.abs(weight).max(initial=0.0)) < value_formats.SMALLEST_NORMAL_F16:
        values = "f32"  # all of it would drown in f16's subnormals
    return _smallest(*value_formats.encode(weight, values), encoding)


def store_on_grid(array: FloatArray, grid: Quantization, encoding: str | None) -> StoredWeight:
    """Encode a quantized constant as integers; ``encoding`` None takes the smallest.

    Raises:
        ModelFileError: a number is not on the grid.
    """
    integers = grid.round(array)
    if not np.array_equal(grid.numbers(integers), array):
        raise ModelFileError("is quantized, but holds numbers that are not on its grid")
    return _smallest(integers, grid.scale.astype(POOLS["scales_f32"].dtype, copy=False), encoding)


def _smallest(rounded: Values, scales: value_formats.Scales | None, encoding: str | None) -> StoredWeight:
    words = ENCODINGS if encoding is None else (encoding,)
    return min(
        (StoredWeight(_FORMS[word].from_dense(rounded), scales) for word in words),
        key=lambda stored: stored.nbytes,
    )


def store_constant(array: FloatArray, values: str) -> StoredWeight:
    """Encode any other constant, dense: f32, or f16 where ``values`` is reduced and f16 keeps the array well."""
    kept = "f16" if values != "f32" and value_formats.fits_f16(array) else "f32"
    return StoredWeight(Dense.from_dense(value_formats.encode(array, kept)[0]))


def restore(pools: PoolReader, shape: tuple[int, ...], encoding: str, values: str) -> StoredWeight:
    """Read the next constant from ``pools`` and check every number of it.

    Raises:
        ModelFileError: the choices are unknown, the pools too short, or an index, offset, count or value wrong.
    """
    if values not in VALUES + GRIDS:
        raise ModelFileError(f"has unknown values {values[:20]!r}")
    rows, size = matrix_shape(shape)[0], math.prod(shape)
    scales = None
    if values == "i8":
        scales = pools.take("scales", rows)
    elif values in GRIDS:
        scales = (
            pools.take("scales_f32", rows) if values == "i8_row" else pools.take("scales_f32", 1).reshape(())
        )
    pool = f"values_{values.partition('_')[0]}"
    form: Dense | Bitmask | CSR
    if encoding == "dense":
        form = Dense(pools.take(pool, size), shape)
    elif encoding == "bitmask":
        bits = pools.take("bitmasks", -(-size // 8))
        form = Bitmask(pools.take(pool, int(np.bitwise_count(bits).sum())), bits, shape)
    elif encoding in _CSR_ENCODINGS:
        _, columns, widths = encoding.split("_")
        offsets = pools.take(f"indices_{widths}", rows + 1).astype(np.uint32)
        nnz = int(offsets[-1])
        indices = pools.take(f"indices_{columns}", nnz).astype(np.uint32)
        form = CSR(pools.take(pool, nnz), indices, offsets, shape)
    else:
        raise ModelFileError(f"has the unknown encoding {encoding[:20]!r}")
    stored = StoredWeight(form, scales)
    stored.validate()
    return stored


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
        """The next ``count`` elements of ``pool``, in memory of their own; ModelFileError if it holds fewer."""
        rest = self._rest.get(pool, np.zeros(0, POOLS[pool].dtype))
        if count > rest.size:
            raise ModelFileError(f"needs {count} more elements of '{pool}', which has {rest.size} left")
        self._rest[pool] = rest[count:]
        self.bytes_read += count * rest.itemsize
        return rest[:count].copy()

    def finish(self) -> None:
        """Raise ModelFileError if anything was left unread."""
        for pool, rest in self._rest.items():
            if rest.size:
                raise ModelFileError(f"has {rest.size} elements in '{pool}' that belong to no constant")
