"""Files that ``torch.save`` wrote, from anyone: plain values and dense tensors, and nothing taken that is not there.

They are pickles, read here by the few instructions that such values need. ``torch.load(weights_only=True)`` runs no
code of theirs either, but believes what they say of sizes, and takes archives that unpack to a thousand times as much.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from sparsenet.errors import CheckpointError, MemoryLimitError
from sparsenet.io.files import read_whole
from sparsenet.limits import memory_limit

#: Bytes of a pickle: values take up to a hundred times as much in memory.
MAX_PICKLE_BYTES = 2**24
#: Values in a file, and how deep they may be nested, tensors aside.
MAX_VALUES, MAX_DEPTH = 2**18, 64
#: Of a tensor, and of what a pickle calls.
MAX_RANK, MOST_ARGUMENTS = 8, 8

_MAGIC, _PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_OPCODES = (
    *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT),
    *(pickle.BINUNICODE, pickle.BINSTRING, pickle.SHORT_BINSTRING),
    *(pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS),
    *(pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET),
    *(pickle.GLOBAL, pickle.REDUCE, pickle.BUILD, pickle.BINPERSID),
)

#: From the key, type and number of elements of a storage to its elements, 1-D.
Storages = Callable[[str, torch.dtype, int], Tensor]


def read_torch_file(path: str | os.PathLike[str]) -> Any:
    """What ``torch.save`` wrote, today or before 1.6: numbers, strings, lists, tuples, dicts and dense tensors.

    Raises:
        CheckpointError: it is missing, damaged, or holds anything else.
        MemoryLimitError: it takes more than ``limits.memory_limit``.
    """
    name = os.fspath(path)
    try:
        data = read_whole(path, memory_limit())
        values = _from_zip(data) if data[:4] == b"PK\3\4" else _from_pickles(data)
        _require_plain(values)
    except MemoryLimitError as error:
        raise MemoryLimitError(f"{name}: {error}") from None
    except FileNotFoundError:
        raise CheckpointError(f"no such file: {name}") from None
    except OSError as error:
        raise CheckpointError(f"{name} cannot be read: {error.strerror or error}") from None
    except Exception as error:
        # The pickle decides what is done to what: it may raise whatever that raises.
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise CheckpointError(f"{name} is damaged or holds more than values and tensors: {reason}") from None
    return values


def _from_zip(data: bytes) -> Any:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        if len(entries) != len(archive.infolist()):
            raise ValueError("a name appears twice in the archive")
        packed = any(e.compress_type != zipfile.ZIP_STORED for e in entries.values())
        if packed or sum(e.file_size for e in entries.values()) > len(data):
            raise ValueError("the archive unpacks to more than it has")
        (pickled,) = (name for name in entries if name.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        order = f"{folder}byteorder"
        if order in entries and archive.read(order) != b"little":
            raise ValueError("its bytes are in the order of other machines")
        storages: dict[str, Tensor] = {}

        def storage(key: str, dtype: torch.dtype, count: int) -> Tensor:
            if key not in storages:
                storages[key] = _elements(archive.read(f"{folder}data/{key}"), dtype, count)
            return _checked(storages[key], dtype, count)

        if entries[pickled].file_size > MAX_PICKLE_BYTES:
            raise ValueError(f"its pickle has more than {MAX_PICKLE_BYTES} bytes")
        return _Reader(io.BytesIO(archive.read(pickled)), storage).load()


def _from_pickles(data: bytes) -> Any:
    """As before PyTorch 1.6: pickles one after the other, then the storages that they name."""
    head = io.BytesIO(data[:MAX_PICKLE_BYTES])

    if [_Reader(head, _none).load() for _ in range(2)] != [_MAGIC, _PROTOCOL]:
        raise ValueError("it is no file that torch.save wrote")
    if _Reader(head, _none).load().get("little_endian") is not True:
        raise ValueError("its bytes are in the order of other machines")
    start, known = head.tell(), dict[str, Tensor]()

    def described(key: str, dtype: torch.dtype, count: int) -> Tensor:
        """The storages lie behind the pickle that needs them, so it is read twice."""
        if not isinstance(count, int) or not 0 <= count <= len(data):
            raise ValueError(f"there are no {count} elements")
        return _checked(known.setdefault(key, torch.empty(count, dtype=dtype, device="meta")), dtype, count)

    _Reader(head, described).load()
    end = head.tell()
    keys = _Reader(head, _none).load()
    if (
        not all(isinstance(key, str) for key in keys)
        or len(set(keys)) != len(keys)
        or set(keys) != set(known)
    ):
        raise ValueError("it does not hold the storages that it names")
    at, storages = head.tell(), dict[str, Tensor]()
    for key in keys:
        size = known[key].numel() * known[key].element_size()
        if int.from_bytes(data[at : at + 8], "little") != known[key].numel():
            raise ValueError("a storage has not the size that was said")
        storages[key] = _elements(data[at + 8 : at + 8 + size], known[key].dtype, known[key].numel())
        at += 8 + size
    head.seek(start)
    values = _Reader(head, lambda key, dtype, count: _checked(storages[key], dtype, count)).load()
    assert head.tell() == end
    return values


def _none(*_: Any) -> Tensor:
    raise ValueError("it has a tensor where there can be none")


def _elements(data: bytes, dtype: torch.dtype, count: int) -> Tensor:
    if len(data) != count * dtype.itemsize:
        raise ValueError(f"a storage of {count} elements of {dtype} has {len(data)} bytes")
    return torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)


def _checked(storage: Tensor, dtype: torch.dtype, count: int) -> Tensor:
    if storage.dtype != dtype or storage.numel() != count:
        raise ValueError("a storage is named with two types or sizes")
    return storage


#: Not the one in C, which takes memory as it is told.
_Unpickler: Any = pickle._Unpickler


class _Reader(_Unpickler):
    """Follows the instructions that plain values and tensors need."""

    dispatch: ClassVar[dict[int, Any]] = {op[0]: _Unpickler.dispatch[op[0]] for op in _OPCODES}

    def __init__(self, file: io.BytesIO, storages: Storages) -> None:
        super().__init__(file, encoding="utf-8")
        self._storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        try:
            return _FUNCTIONS[module, name]
        except KeyError:
            raise ValueError(f"it refers to {module}.{name}") from None

    def persistent_load(self, pid: Any) -> Tensor:
        if len(pid) > MOST_ARGUMENTS:
            raise ValueError("it refers to something that is no storage")
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or not isinstance(key, str) or any(part is not None for part in view):
            raise ValueError("it refers to something that is no storage")
        return self._storages(key, dtype, count)

    def load_build(self) -> None:
        """Attributes, such as the versions of a state's modules, are left out."""
        self.stack.pop()

    def load_reduce(self) -> None:
        """Call a function, with few arguments: many, again and again, would take for ever."""
        if len(self.stack[-1]) > MOST_ARGUMENTS:
            raise ValueError("a function has too many arguments")
        super().load_reduce()

    def load_setitem(self) -> None:
        """Put one item into a dict."""
        _require_keys(self.stack[-2:-1])
        super().load_setitem()

    def load_setitems(self) -> None:
        """Put many items into a dict."""
        _require_keys(self.stack[::2])
        super().load_setitems()

    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems


def _require_keys(keys: list[Any]) -> None:
    """Those whose hashes take no time, and do not all collide."""
    if not all(isinstance(k, str) or (isinstance(k, int) and abs(k) < 2**31) for k in keys):
        raise ValueError("a name in it is neither text nor a small number")


def _ordered(pairs: list[list[Any]] | None = None) -> OrderedDict[Any, Any]:
    """As Python 2 wrote them; the pairs are used up, so that they count once."""
    found: OrderedDict[Any, Any] = OrderedDict()
    while pairs:
        key, value = pairs.pop()
        _require_keys([key])
        found[key] = value
        found.move_to_end(key, last=False)
    return found


def _size(sizes: tuple[int, ...]) -> tuple[int, ...]:
    if not isinstance(sizes, tuple) or len(sizes) > MAX_RANK:
        raise ValueError("a tensor has too many dimensions")
    if not all(isinstance(n, int) and 0 <= n < 2**48 for n in sizes):
        raise ValueError("a tensor has an impossible size")
    return sizes


def _tensor(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    count = math.prod(_size(size))
    last = offset + sum((n - 1) * step for n, step in zip(size, _size(stride), strict=True))
    if offset < 0 or count > storage.numel() or (count and last >= storage.numel()):
        raise ValueError("a tensor is larger than its storage")
    return storage.as_strided(size, stride, offset)


_FUNCTIONS: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered,
    ("torch", "Size"): _size,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda data, *_: data,
}


def _require_plain(values: Any) -> None:
    """Values that can be compared and shown in no time: not endless, not deeper than anybody writes them."""
    rest, cost = [(values, 0)], 0
    while rest:
        value, depth = rest.pop()
        children: list[Any] = []
        if isinstance(value, dict):
            children = [*value.keys(), *value.values()]
        elif isinstance(value, list | tuple):
            children = list(value)
        elif not (value is None or isinstance(value, bool | int | float | str | Tensor)):
            raise ValueError(f"it holds a {type(value).__name__}")
        cost += 1 + (16 if isinstance(value, Tensor) else len(value) // 16 if isinstance(value, str) else 0)
        if depth == MAX_DEPTH or cost + len(rest) + len(children) > MAX_VALUES:
            raise ValueError(f"its values are nested deeper than {MAX_DEPTH}, or more than {MAX_VALUES}")
        rest += [(child, depth + 1) for child in children]
