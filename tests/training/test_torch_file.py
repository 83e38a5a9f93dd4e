"""Files of torch.save from anyone: what is plain is read as torch reads it, and nothing else is believed."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsenet.errors import CheckpointError, MemoryLimitError
from training.torch_file import MAX_DEPTH, read_torch_file

VALUES = {
    "model": torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).state_dict(),
    "tensors": [torch.randn(3, 2).t(), torch.nn.Parameter(torch.ones(2)), torch.empty(0, 3), torch.tensor(7)],
    "types": [
        torch.ones(3).to(t) for t in (torch.float16, torch.bfloat16, torch.float64, torch.int8, torch.bool)
    ],
    "plain": [1, -5, 2**40, 2.5, None, True, (1, (2,)), {"a": {3: "ä"}}],
    "optimizer": torch.optim.AdamW([torch.zeros(2)]).state_dict(),
}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return isinstance(b, Tensor) and a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


def archive(entries: dict[str, bytes], packed: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", packed) as file:
        for name, data in entries.items():
            file.writestr(name, data)
    return buffer.getvalue()


class Storage:
    """Pickled as the reference to one."""

    def __init__(self, *words: Any) -> None:
        self.words = words


class Call:
    """Pickled as a call."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = function, arguments

    def __reduce__(self) -> Any:
        return self.reduced


class _Pickler(pickle._Pickler):
    def persistent_id(self, value: Any) -> Any:
        return value.words if isinstance(value, Storage) else None


def pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, 2).dump(value)
    return buffer.getvalue()


def tensor(
    count: Any = 6, size: Any = (2, 3), stride: Any = (3, 1), offset: Any = 0, kind: Any = None
) -> Call:
    storage = Storage("storage", kind or torch.FloatStorage, "0", "cpu", count)
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, size, stride, False, OrderedDict())


def file(value: Any, data: bytes = bytes(24), **other: bytes) -> bytes:
    raw = value if isinstance(value, bytes) else pickled(value)
    return archive({"archive/data.pkl": raw, "archive/data/0": data, **other})


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def laughs() -> list[Any]:
    value: list[Any] = ["ha"]
    for _ in range(40):
        value = [value, value]
    return value


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize("new", [True, False])
def test_what_torch_writes_is_read(tmp_path: Path, new: bool) -> None:
    torch.save(VALUES, tmp_path / "x.pt", _use_new_zipfile_serialization=new)
    assert same(VALUES, read_torch_file(tmp_path / "x.pt"))


def test_published_weights_are_read_as_torch_reads_them(shared_data: Path) -> None:
    path = shared_data / "retinaface_mobilenet025" / "mobilenet0.25_Final.pth"
    assert same(dict(torch.load(path, map_location="cpu", weights_only=True)), dict(read_torch_file(path)))


def test_a_file_by_hand_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(file({"w": tensor()}))
    assert torch.equal(read_torch_file(tmp_path / "x.pt")["w"], torch.zeros(2, 3))


HOSTILE: dict[str, Callable[[], bytes]] = {
    "a call of the system": lambda: file(Call(os.system, "echo planted")),
    "a call of eval": lambda: file(Call(eval, "1")),
    "a huge bytearray": lambda: file(Call(bytearray, 10**12)),
    "a storage larger than its bytes": lambda: file(tensor(10**12)),
    "a storage smaller than its bytes": lambda: file(tensor(5, (5,), (1,))),
    "a storage of negative size": lambda: file(tensor(-6)),
    "a size that is no number": lambda: file(tensor("6")),
    "a tensor larger than its storage": lambda: file(tensor(size=(10**9, 3))),
    "a tensor past its storage": lambda: file(tensor(offset=1)),
    "a tensor before its storage": lambda: file(tensor(offset=-1)),
    "strides past the storage": lambda: file(tensor(stride=(1000, 1))),
    "negative strides": lambda: file(tensor(stride=(-3, 1))),
    "a stride of zero": lambda: file(tensor(size=(10**6, 10**6), stride=(0, 0))),
    "sizes beyond int64": lambda: file(tensor(size=(2**70, 0), stride=(1, 1))),
    "a thousand dimensions": lambda: file(tensor(size=(1,) * 1000, stride=(1,) * 1000)),
    "a storage of no type": lambda: file(tensor(kind="FloatStorage")),
    "a name of storages elsewhere": lambda: file({"w": Storage("storage", torch.FloatStorage, "../x", "cpu", 6)}),
    "two types of one storage": lambda: file([tensor(), tensor(6, kind=torch.IntStorage)]),
    "a sparse tensor": lambda: _saved(torch.eye(3).to_sparse()),
    "a tensor without values": lambda: _saved(torch.empty(3, device="meta")),
    "a module": lambda: _saved(torch.nn.Linear(1, 1)),
    "a set": lambda: _saved({1, 2}),
    "names that collide": lambda: file({n * (2**61 - 1): 1 for n in range(1, 1000)}),
    "names that are tuples": lambda: file({(1, 2): 3}),
    "a list too deep": lambda: file(b"\x80\x02" + b"]" * (MAX_DEPTH + 2) + b"a" * (MAX_DEPTH + 1) + b"."),
    "values that double": lambda: file(laughs()),
    "values without end": lambda: file(endless()),
    "memory at a far place": lambda: file(b"\x80\x02]r\xff\xff\xff\x7f0."),
    "bytes of a size that is not there": lambda: file(b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"."),
    "text of a size that is not there": lambda: file(b"\x80\x02X\xff\xff\xff\xff."),
    "a pickle cut short": lambda: file(pickled([1, 2, 3])[:-3]),
    "an empty pickle": lambda: file(b""),
    "a large pickle": lambda: file(b"\x80\x02" + b"]0" * 2**23 + b"N."),
    "an archive without a pickle": lambda: archive({"archive/data/0": b""}),
    "an archive with two": lambda: archive({"a/data.pkl": pickled(1), "b/data.pkl": pickled(2)}),
    "a bomb": lambda: archive({"archive/data.pkl": pickled(1), "archive/data/0": bytes(10**7)}, zipfile.ZIP_DEFLATED),
    "a name twice": lambda: _twice(),
    "bytes of other machines": lambda: file(tensor(), **{"archive/byteorder": b"big"}),
    "an archive cut short": lambda: file(tensor())[:-30],
    "a checksum that is wrong": lambda: file(tensor(), b"x" * 24).replace(b"x" * 24, b"y" * 24),
    "nothing": lambda: b"",
    "no pickle": lambda: b"nonsense",
    "an old file with a huge storage": lambda: _old(10**12),
    "an old file with a storage of another size": lambda: _old(5),
    "an old file cut short": lambda: _old(6)[:-5],
    "an old file without storages": lambda: _old(6, keys=[]),
    "an old file with a storage twice": lambda: _old(6, keys=["0", "0"]),
}  # fmt: skip


def _saved(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def _twice() -> bytes:
    return file(tensor(), **{"archive/data/1": bytes(24)}).replace(b"archive/data/1", b"archive/data/0")


def _old(count: int, keys: Any = ("0",)) -> bytes:
    storage = Storage("storage", torch.FloatStorage, "0", "cpu", count, None)
    value = Call(torch._utils._rebuild_tensor_v2, storage, 0, (count,), (1,), False, OrderedDict())
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, value, list(keys)]
    return b"".join(map(pickled, head)) + struct.pack("<q", 6) + bytes(24)


def test_an_old_file_by_hand_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(_old(6))
    assert torch.equal(read_torch_file(tmp_path / "x.pt"), torch.zeros(6))


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_hostile_is_one_line(tmp_path: Path, what: str) -> None:
    path = tmp_path / "x.pt"
    path.write_bytes(HOSTILE[what]())
    with pytest.raises(CheckpointError, match="is damaged or holds more than values and tensors") as caught:
        read_torch_file(path)
    assert "\n" not in str(caught.value)


def test_what_is_missing_too_large_or_no_regular_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.pt"
    with pytest.raises(CheckpointError, match="no such file"):
        read_torch_file(path)
    os.mkfifo(path)
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_torch_file(path)
    path.unlink()
    torch.save(VALUES, path)
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "1K")
    with pytest.raises(MemoryLimitError, match=r"x\.pt: it has .* more than the limit"):
        read_torch_file(path)
