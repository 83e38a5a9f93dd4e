from __future__ import annotations

import builtins
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsenet.errors import InputError, MemoryLimitError, MissingExtraError
from sparsenet.graph import TensorInfo
from sparsenet.graph.feeds import random_inputs
from sparsenet.io.input_files import read_inputs

ONE = [TensorInfo("input", (None, 3, 4, 6))]
TWO = [TensorInfo("a", (None, 2)), TensorInfo("b", (None, 3))]


def saved(path: Path, array: np.ndarray) -> str:
    np.save(path, array)
    return str(path)


def test_an_array_feeds_the_only_input_unchanged(tmp_path: Path) -> None:
    x = np.arange(72, dtype=np.float32).reshape(1, 3, 4, 6)
    arrays = read_inputs([saved(tmp_path / "x.npy", x)], ONE, {})
    np.testing.assert_array_equal(arrays["input"], x)


def test_named_files_feed_their_inputs(tmp_path: Path) -> None:
    a, b = np.ones((1, 2), np.float32), np.zeros((1, 3), np.float32)
    specs = [f"b={saved(tmp_path / 'b.npy', b)}", f"a={saved(tmp_path / 'a.npy', a)}"]
    arrays = read_inputs(specs, TWO, {})
    assert {name: array.shape for name, array in arrays.items()} == {"a": (1, 2), "b": (1, 3)}


def test_a_file_name_may_hold_an_equals_sign(tmp_path: Path) -> None:
    x = np.zeros((1, 3, 4, 6), np.float32)
    assert read_inputs([saved(tmp_path / "size=4.npy", x)], ONE, {})["input"].shape == x.shape


def test_an_image_is_resized_and_scaled_to_plus_minus_one(tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[..., 0] = 255
    Image.fromarray(pixels).save(path)
    x = read_inputs([str(path)], ONE, {})["input"]
    assert x.shape == (1, 3, 4, 6)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x[0, 0], 1.0)
    np.testing.assert_array_equal(x[0, 1:], -1.0)
    metadata = {"mean": "[0.5, 0.25, 0]", "std": "[0.25, 0.5, 1]"}
    x = read_inputs([str(path)], ONE, metadata)["input"]
    np.testing.assert_array_equal(x[0, :, 0, 0], np.array([2.0, -0.5, 0.0], np.float32))


def test_random_inputs_are_seeded() -> None:
    first, again, other = (random_inputs(ONE, 2, seed)["input"] for seed in (0, 0, 1))
    assert first.shape == (2, 3, 4, 6)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize(
    "array, message",
    [
        (np.zeros((1, 3, 4, 6)), "has dtype float64, expected float32"),
        (np.array([[1.0, np.nan]], np.float32), r"holds 1 NaN, the first at index \(0, 1\)"),
        (np.array([object()]), "not a readable .npy array"),
        (np.zeros((0, 3, 4, 6), np.float32), r"is empty: its shape is \(0, 3, 4, 6\)"),
    ],
    ids=["dtype", "nan", "pickle", "empty"],
)
def test_bad_arrays_are_named(tmp_path: Path, array: np.ndarray, message: str) -> None:
    path = tmp_path / "x.npy"
    np.save(path, array, allow_pickle=True)
    with pytest.raises(InputError, match=message) as caught:
        read_inputs([str(path)], ONE, {})
    assert str(path) in str(caught.value)


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    length = len(header).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + length + header.encode() + data


def described(descr: str, shape: str, fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}}}\n"


@pytest.mark.parametrize(
    "content, message",
    [
        (npy(described("'<f4'", "(10**12,)")), "not a readable"),
        (npy(described("'<f4'", "(1000000000000,)")), "takes 4000000000000 bytes, there are 0"),
        (npy(described("'<f4'", "(9999999999, 9999999999, 9999999999)")), "there are 0"),
        (npy(described("'<f4'", "(3,)"), bytes(11)), "takes 12 bytes, there are 11"),
        (npy(described("'<f4'", "(-1, -3)"), bytes(12)), "not a readable"),
        (npy(described("'<f4'", "(True,)"), bytes(12)), "not a readable"),
        (npy(described("'<f4'", "3"), bytes(12)), "not a readable"),
        (npy(described("'|O'", "(1,)"), b"cos\nsystem\n"), "not a readable"),
        (npy(described("'|V0'", "(1000000000000,)")), "not a readable"),
        (npy(described("[('a', '<f4', (100000000,))]", "(9,)")), "takes 3600000000 bytes, there are 0"),
        (npy(described("'<q9'", "(1,)")), "not a readable"),
        (npy("[" * 5000), "not a readable"),
        (npy("{" + "1:1," * 5000 + "}"), "not a readable"),
        (npy(described("'<f4'", "(1,)"), bytes(4), version=3), "not a readable"),
        (b"PK\x03\x04" + bytes(60), "not a readable"),
        (b"", "not a readable"),
    ],
    ids=lambda value: repr(value)[12:50],
)
def test_the_header_of_an_array_is_not_believed(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_inputs([str(path)], ONE, {})


def test_an_array_in_columns_is_read(tmp_path: Path) -> None:
    x = np.asfortranarray(np.arange(72, dtype=np.float32).reshape(1, 3, 4, 6))
    np.testing.assert_array_equal(read_inputs([saved(tmp_path / "x.npy", x)], ONE, {})["input"], x)


@pytest.mark.parametrize("name", ["x.npy", "x.png"])
def test_what_takes_too_much_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("SPARSENET_MAX_MEMORY", "1000")
    np.save(tmp_path / "x.npy", np.zeros((1, 3, 16, 16), np.float32))
    Image.new("RGB", (16, 16)).save(tmp_path / "x.png")
    with pytest.raises(MemoryLimitError, match=f"{name}: .* would take"):
        read_inputs([str(tmp_path / name)], ONE, {})


@pytest.mark.parametrize("name", ["x.npy", "x.png"])
def test_what_is_no_regular_file_is_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="not a regular file"):
        read_inputs([str(tmp_path / name)], ONE, {})


@pytest.mark.parametrize("name, message", [("x.npy", "not a readable"), ("x.png", "not an image")])
def test_a_damaged_file_is_named(tmp_path: Path, name: str, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\x93NUMPY\x01")
    with pytest.raises(InputError, match=f"{name}: {message}"):
        read_inputs([str(path)], ONE, {})


@pytest.mark.parametrize(
    "specs, infos, message",
    [
        (["missing.npy"], ONE, "missing.npy: no such file"),
        (["{x}.txt"], ONE, "give a .npy file or an image"),
        (["c={x}"], TWO, "the model has no input 'c'; its inputs: a, b"),
        (["{x}"], TWO, "name the input that .* feeds, .*names: a, b"),
        (["a={x}"], TWO, "no input given for 'b'"),
        (["a={x}", "a={x}"], TWO, "input 'a' is given twice"),
        (["{image}"], [TensorInfo("input", (None, 1, 4, 6))], "an image cannot feed input 'input'"),
    ],
)
def test_wrong_feeding_says_what_the_model_wants(
    tmp_path: Path, specs: list[str], infos: list[TensorInfo], message: str
) -> None:
    x = saved(tmp_path / "x.npy", np.zeros((1, 2), np.float32))
    Path(f"{x}.txt").touch()
    image = tmp_path / "x.png"
    Image.new("RGB", (2, 2)).save(image)
    with pytest.raises(InputError, match=message):
        read_inputs([spec.format(x=x, image=image) for spec in specs], infos, {})


def test_an_image_without_pillow_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "face.png"
    path.touch()
    for name in [name for name in sys.modules if name.partition(".")[0] == "PIL"]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without_pillow(name: str, *arguments: object) -> object:
        if name.partition(".")[0] == "PIL":
            raise ModuleNotFoundError("No module named 'PIL'", name="PIL")
        return real(name, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without_pillow)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[images\]'"):
        read_inputs([str(path)], ONE, {})
