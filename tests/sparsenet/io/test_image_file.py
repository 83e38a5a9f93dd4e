"""Image files from strangers: bombs are refused before they are decoded, and everything odd in one line."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsenet.detection.image import read_image
from sparsenet.errors import DataError, InputError, MemoryLimitError
from sparsenet.io import image_file
from sparsenet.io.image_file import FORMATS
from training.data.decode import decode_image

KINDS = [name for name in FORMATS if Image.init() is not None and name in Image.SAVE]


def encoded(kind: str, size: tuple[int, int] = (24, 16)) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def png(width: int, height: int, data: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def refused(path: Path, kind: type[Exception] = InputError) -> str:
    """What both readers say, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(kind) as caught:
            read_image(path)
        with pytest.raises(DataError):
            decode_image(path, 8)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


@pytest.mark.parametrize("kind", KINDS)
def test_known_kinds_are_read_whatever_they_are_called(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "picture.txt"
    path.write_bytes(encoded(kind))
    assert read_image(path).size == (24, 16)
    assert decode_image(path, 8).shape == (3, 8, 8)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(*arguments: object) -> None:
        raise AssertionError("its pixels were decoded")

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", decoded)
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "100G")
    path = tmp_path / "bomb.png"
    for width, height in ((2**14, 2**14), (2**27 + 1, 1), (2**31 - 1, 2**31 - 1)):
        path.write_bytes(png(width, height, zlib.compress(bytes(1000))))
        assert "pixels" in refused(path)
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "10K")
    path.write_bytes(png(64, 64))
    assert "the image of 64 × 64 pixels would take" in refused(path, MemoryLimitError)


def test_a_text_bomb_beside_the_pixels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.png"
    whole = encoded("PNG")
    body = b"note\0\0" + zlib.compress(bytes(2**28))
    chunk = struct.pack(">I", len(body)) + b"zTXt" + body + struct.pack(">I", zlib.crc32(b"zTXt" + body))
    path.write_bytes(whole[:33] + chunk + whole[33:])
    assert "damaged image" in refused(path)


@pytest.mark.parametrize(
    "content", [b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n", b"GRIB", b"text"]
)
def test_what_a_program_of_its_own_would_decode_is_no_image(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "picture.jpg"
    path.write_bytes(content)
    assert "not an image of a known kind" in refused(path)


@pytest.mark.parametrize("kind", KINDS)
def test_no_file_cut_short_or_changed_raises_anything_else(tmp_path: Path, kind: str) -> None:
    whole, path = encoded(kind), tmp_path / "picture"
    random = np.random.default_rng(3)
    for number in range(150):
        data = bytearray(whole)
        if number < 50:
            del data[int(random.integers(len(data))) :]
        for _ in range(number % 4):
            if data:
                data[int(random.integers(min(len(data), 400 if number % 2 else len(data))))] = int(
                    random.integers(256)
                )
        path.write_bytes(data)
        for read in (read_image, lambda p: decode_image(p, 8)):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow reads some that it finds odd
                with contextlib.suppress(InputError, MemoryLimitError, DataError):
                    read(path)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    os.mkfifo(path)
    assert "not a regular file" in refused(path)
    path.unlink()
    path.mkdir()
    assert "is a directory" in refused(path)


def test_an_image_at_the_limit_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_file, "MAX_PIXELS", 24 * 16)
    path = tmp_path / "picture.png"
    path.write_bytes(encoded("PNG"))
    assert read_image(path).size == (24, 16)
    path.write_bytes(encoded("PNG", (25, 16)))
    assert "25 × 16 pixels" in refused(path)
