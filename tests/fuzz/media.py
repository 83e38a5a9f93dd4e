"""Images, arrays, weights, checkpoints, masks, annotations and baselines: small ones, changed, and who reads them.

A case's first byte says which reader gets the rest as a file.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from sparsenet.errors import SparsenetError
from sparsenet.graph import TensorInfo
from tests.fuzz.mutate_model import _change_json
from tests.fuzz.numbers import change_bytes

LONGEST_MESSAGE = 300
_SIZES = 8


def files() -> list[bytes]:
    """One of each kind, and images of several, each behind the number of its reader."""
    return [bytes([number]) + data for number, make in enumerate(_KINDS) for data in make[0]()]


def mutate(data: bytes, mutations: list[int]) -> bytes:
    """``data`` with one change per number, in its structure where it has one, or in its bytes."""
    number, rest = data[:1], data[1:]
    change = _KINDS[number[0]][1]
    for seed in mutations:
        random = Random(seed)
        changed = None
        if random.random() < 0.6:
            with suppress(Exception):
                changed = change(rest, random)  # what an earlier change has left no structure in is bytes
        rest = change_bytes(rest, random) if changed is None else changed
    return number + rest


def check(data: bytes, run: bool = True) -> str:
    """What its reader made of a file, in a word; any error but a typed one of one line is a finding."""
    del run
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow reads some files that it finds odd
        path = Path(folder) / ("x.npy" if data[0] == _ARRAY else "x")
        path.write_bytes(data[1:])
        try:
            _KINDS[data[0]][2](path)
        except SparsenetError as error:
            message = str(error)
            if "\n" in message or len(message) > LONGEST_MESSAGE:
                raise AssertionError(f"not one clear line: {message[:400]!r}") from error
            return f"refused: {type(error).__name__}"
    return "ran"


# --- files


def _images() -> list[bytes]:
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (9, 12, 3), np.uint8)
    made = []
    for kind in ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        made.append(buffer.getvalue())
    return made


def _arrays() -> list[bytes]:
    made = []
    for array in (np.ones((2, 3), np.float32), np.asfortranarray(np.ones((1, 4, 5), np.float32))):
        buffer = io.BytesIO()
        np.save(buffer, array)
        made.append(buffer.getvalue())
    return made


def _archives() -> list[bytes]:
    made = []
    for save in (np.savez, np.savez_compressed):
        buffer = io.BytesIO()
        save(buffer, x=np.arange(12, dtype=np.float32).reshape(2, 6), y=np.ones((2, 1), np.float32))
        made.append(buffer.getvalue())
    return made


def _checkpoints() -> list[bytes]:
    import torch

    state = {
        "step": 3,
        "model": {"w": torch.ones(3, 2).t(), "n": torch.tensor(1)},
        "optimizer": torch.optim.AdamW([torch.zeros(2)]).state_dict(),
    }
    made = []
    for new in (True, False):
        buffer = io.BytesIO()
        torch.save(state, buffer, _use_new_zipfile_serialization=new)
        made.append(buffer.getvalue())
    return made


def _masks() -> list[bytes]:
    import torch

    from training.pruning import Masks

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m"
        Masks({"a": torch.tensor([1, 0, 1]), "b": torch.ones(4, 5)}, {"method": "l1"}).save(path)
        return [path.read_bytes()]


def _weights() -> list[bytes]:
    from training.checkpoint import ModelInfo, save_model
    from training.models import build_model

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m"
        save_model(path, build_model("minixception-128", 2), ModelInfo("minixception-128", ("a", "b"), 64))
        return [path.read_bytes()]


def _annotations() -> list[bytes]:
    entry = {"event_path": "0/a.jpg", "orig_wh": [200, 100], "boxes_xyxy_orig": [[10, 20, 40, 60]]}
    return [
        json.dumps({"img/a.png": entry, "img/b.png": entry}).encode(),
        b"0/a.jpg\n2\n1 2 3 4 0 0 0 0 0 0\n5 6 7 8 0 0 0 1 0 0\n0/b.jpg\n0\n0 0 0 0 0 0 0 0 0 0\n",
        b"# 0/a.jpg\n1 2 3 4 " + b"5 6 0 " * 5 + b"0.9\n# 0/b.jpg\n1 2 3 4\n",
    ]


def _baselines() -> list[bytes]:
    from bench.measure.versions import versions

    ratio = {"median": 2.0, "low": 1.9, "high": 2.1, "floor": 0.02, "rounds": 9}
    return [json.dumps({"versions": versions(), "groups": {"g": {"ratio": ratio}}}).encode()]


# --- changes in their structure


def _in_json(data: bytes, random: Random) -> bytes:
    document = json.loads(data)
    _change_json(document, random)
    return json.dumps(document).encode()


def _in_header(data: bytes, random: Random) -> bytes:
    """Of a safetensors file; the JSON texts among its metadata are opened."""
    length = int.from_bytes(data[:_SIZES], "little")
    header = json.loads(data[_SIZES : _SIZES + length])
    metadata = header["__metadata__"]
    key = random.choice([name for name, text in metadata.items() if text[:1] in "[{"])
    if random.random() < 0.7:
        metadata[key] = _in_json(metadata[key].encode(), random).decode()
    else:
        _change_json(header, random)
    text = json.dumps(header).encode()
    return len(text).to_bytes(_SIZES, "little") + text + data[_SIZES + length :]


def _in_archive(data: bytes, random: Random) -> bytes:
    """Of the entries of a ZIP file, whose checksums are made right again; of an older file, its bytes."""
    if data[:2] != b"PK":
        return change_bytes(data, random)
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(buffer, "w") as new:
        names = old.namelist()
        chosen = random.choice([*names, *[name for name in names if name.endswith(".pkl")] * 20])
        for name in names:
            new.writestr(name, change_bytes(old.read(name), random) if name == chosen else old.read(name))
    return buffer.getvalue()


# --- readers


def _read_image(path: Path) -> None:
    from training.data.decode import decode_image

    decode_image(path, 8)


def _read_array(path: Path) -> None:
    from sparsenet.io.input_files import read_inputs

    read_inputs([str(path)], [TensorInfo("x", (None, 3))], {})


def _read_archive(path: Path) -> None:
    from sparsenet.io.array_files import read_npz

    read_npz(path)


def _read_checkpoint(path: Path) -> None:
    from training.checkpoint import load_checkpoint

    repr(load_checkpoint(path))


def _read_masks(path: Path) -> None:
    from training.pruning import Masks

    repr(Masks.load(path))


def _read_weights(path: Path) -> None:
    from training.checkpoint import load_model

    load_model(path)


def _read_annotations(path: Path) -> None:
    from training.detection.widerface import load_faces

    load_faces(path, path.parent)


def _read_baseline(path: Path) -> None:
    from bench.gate.expected import baseline

    baseline(path)


Change = Callable[[bytes, Random], bytes]
_KINDS: list[tuple[Callable[[], list[bytes]], Change, Callable[[Path], Any]]] = [
    (_images, change_bytes, _read_image),
    (_arrays, change_bytes, _read_array),
    (_checkpoints, _in_archive, _read_checkpoint),
    (_masks, _in_header, _read_masks),
    (_weights, _in_header, _read_weights),
    (_annotations, _in_json, _read_annotations),
    (_baselines, _in_json, _read_baseline),
    (_archives, _in_archive, _read_archive),
]
_ARRAY = 1
