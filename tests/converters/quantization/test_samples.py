"""Calibration data from folders and files: the same choice every time, and a line for what is wrong."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from converters.quantization.samples import open_samples
from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.graph import Graph, TensorInfo
from tests.converters.passes.networks import Net


def _graph(inputs: int = 1) -> Graph:
    net = Net((3, 4, 6))
    graph = net.graph(net.op("relu", "x"))
    graph.inputs += [TensorInfo(f"z{i}", (None, 2)) for i in range(inputs - 1)]
    return graph


def _folder(tmp_path: Path) -> Path:
    for i in range(12):
        file = tmp_path / f"class{i % 3}" / f"{i:02}.png"
        file.parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 9), (i * 20, 0, 255)).save(file)
    (tmp_path / "class0" / "notes.txt").write_text("no image")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.png").write_bytes(b"no image")
    return tmp_path


def test_a_folder_of_images(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    data = open_samples(folder, _graph(), 10, seed=3)
    assert len(data.names) == len(set(data.names)) == 10
    assert data.names == sorted(data.names) == open_samples(folder, _graph(), 10, seed=3).names
    assert data.names != open_samples(folder, _graph(), 10, seed=4).names
    batches = list(data.batches())
    assert [batch["x"].shape for batch in batches] == [(8, 3, 4, 6), (2, 3, 4, 6)]
    number = int(Path(data.names[0]).stem)
    np.testing.assert_allclose(batches[0]["x"][0, 0], (number * 20 / 255 - 0.5) / 0.5, rtol=1e-5)
    assert [len(batch["x"]) for batch in data.batches(3)] == [3]
    assert len(open_samples(folder, _graph(), 100, 0).names) == 12


def test_a_file_of_arrays(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, z = rng.standard_normal((20, 3, 4, 6), np.float32), rng.standard_normal((20, 2), np.float32)
    np.savez_compressed(tmp_path / "both.npz", x=x, z0=z)
    np.save(tmp_path / "x.npy", x)
    both = open_samples(tmp_path / "both.npz", _graph(2), 9, 0)
    chosen = [int(name) for name in both.names]
    batches = list(both.batches())
    assert np.array_equal(np.concatenate([batch["x"] for batch in batches]), x[chosen])
    assert np.array_equal(np.concatenate([batch["z0"] for batch in batches]), z[chosen])
    one = open_samples(tmp_path / "x.npy", _graph(), 9, 0)
    assert one.names == both.names
    assert np.array_equal(next(one.batches())["x"], x[chosen[:8]])


def test_random_numbers_are_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = open_samples(Path("random"), _graph(2), 5, 7)
    assert data.random
    first, again = (next(data.batches()) for _ in range(2))
    assert {name: array.shape for name, array in first.items()} == {"x": (5, 3, 4, 6), "z0": (5, 2)}
    assert np.array_equal(first["x"], again["x"])
    assert not np.array_equal(first["x"][0], first["x"][1])
    (tmp_path / "random").mkdir()
    with pytest.raises(InputError, match="random holds no images"):
        open_samples(Path("random"), _graph(), 5, 7)


def _npz(tmp_path: Path, **arrays: np.ndarray) -> Path:
    np.savez(tmp_path / "a.npz", **arrays)
    return tmp_path / "a.npz"


X = np.zeros((2, 3, 4, 6), np.float32)


def test_what_is_wrong_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(source: Path, message: str, inputs: int = 1) -> None:
        with pytest.raises(InputError, match=message) as info:
            list(open_samples(source, _graph(inputs), 5, 0).batches())
        assert "\n" not in str(info.value)

    refused(tmp_path / "none", "none: no such file or folder")
    (tmp_path / "x.txt").write_text("")
    refused(tmp_path / "x.txt", "give a folder of images, a .npz or .npy file")
    refused(_npz(tmp_path, y=X), r"a\.npz: unknown input 'y'; the model's inputs are: x")
    refused(_npz(tmp_path, x=X), r"a\.npz: input 'z0' is missing", 2)
    refused(
        _npz(tmp_path, x=X, z0=np.zeros((3, 2), np.float32)), "input 'z0' has batch 3, the first input 2", 2
    )
    refused(_npz(tmp_path, x=X[:, :2]), r"input 'x' must have shape \(N, 3, 4, 6\), got \(2, 2, 4, 6\)")
    refused(_npz(tmp_path, x=X.astype(np.uint8)), "'x' in .* has dtype uint8, expected float32")
    refused(_npz(tmp_path, x=X * np.float32(np.nan)), "'x' in .* holds 144 NaN")
    refused(_npz(tmp_path, x=X + np.inf), "holds NaN or infinity")
    refused(_npz(tmp_path, x=np.array([object()])), "not a readable .npz file")
    refused(_npz(tmp_path), "holds no array")
    good = _npz(tmp_path, x=X).read_bytes()
    for cut in range(0, len(good), 23):
        (tmp_path / "cut.npz").write_bytes(good[:cut])
        refused(tmp_path / "cut.npz", "not a readable .npz file")
    np.save(tmp_path / "x.npy", X)
    refused(tmp_path / "x.npy", "the network has 2 inputs; give a .npz file", 2)
    folder = tmp_path / "images"
    folder.mkdir()
    refused(folder, "images holds no images")
    (folder / "x.png").write_bytes(b"nothing")
    refused(folder, "x.png: not an image")
    refused(folder, "images feed one input, the network has 2", 2)
    with monkeypatch.context() as patched:
        patched.setenv("SPARSENET_MAX_MEMORY", "1M")
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(
            header, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 3, 4, 6)}
        )
        with zipfile.ZipFile(tmp_path / "huge.npz", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.npy", header.getvalue() + bytes(2 * 10**6))
        with pytest.raises(MemoryLimitError, match=r"huge\.npz: the arrays in it"):
            open_samples(tmp_path / "huge.npz", _graph(), 5, 0)
