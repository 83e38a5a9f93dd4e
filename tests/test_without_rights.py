"""Files that may not be read and folders that may not be written, as a user who is not root."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn

import sparsenet
from converters import from_onnx
from converters.conversion.sources import open_masks, open_source
from sparsenet import Engine, bundle
from sparsenet.cli import main
from sparsenet.errors import SparsenetError
from sparsenet.io import image_file, model_file
from tests.sparsenet.sample_graphs import tiny_graph
from training.checkpoint import load_checkpoint, load_model
from training.data.sources import load_split
from training.pruning.masks import Masks
from training.torch_file import read_torch_file

pytestmark = pytest.mark.skipif(not hasattr(os, "setresuid"), reason="rights as on Linux")
SOMEBODY = 65534


@contextmanager
def somebody() -> Iterator[None]:
    """Within, this process has the rights of a user who is not root; the user who runs the tests, if that is one."""
    if os.geteuid() != 0:
        yield
        return
    os.setresuid(SOMEBODY, SOMEBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of somebody's, which he can reach, with a file of every kind."""
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    model_file.save(tiny_graph(), folder / "m.safetensors")
    bundle.save(Engine(tiny_graph(), 1).plan, folder / "bundle", sparse=True, metadata={})
    np.save(folder / "x.npy", np.zeros((1, 3, 8, 8), np.float32))
    onnx.save(conv(), folder / "net.onnx")
    onnx.save(conv(), folder / "far.onnx", save_as_external_data=True, location="far.bin", size_threshold=0)
    torch.save({"w": torch.zeros(2)}, folder / "w.pth")
    for name in "ab":
        (folder / "images" / name).mkdir(parents=True)
        Image.new("RGB", (20, 20)).save(folder / "images" / name / "1.png")
    (folder / "out").mkdir()
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, SOMEBODY, SOMEBODY)
    monkeypatch.chdir(folder)
    yield folder
    shutil.rmtree(folder)


def conv() -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.ones((2, 3, 1, 1), np.float32), "w")
    x, y = (
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", c, 4, 4]) for n, c in (("x", 3), ("y", 2))
    )
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "g", [x], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def tree(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@contextmanager
def with_mode(path: Path, mode: int) -> Iterator[None]:
    before = path.stat().st_mode
    path.chmod(mode)
    try:
        with somebody():
            yield
    finally:
        path.chmod(before)


def _opened(path: Path) -> None:
    with image_file.open_image(path):
        pass


READERS: dict[str, tuple[str, Callable[[Any], object]]] = {
    "model": ("m.safetensors", sparsenet.load),
    "bundle": ("bundle", sparsenet.load),
    "graph": ("m.safetensors", model_file.load_graph),
    "onnx": ("net.onnx", from_onnx),
    "source": ("net.onnx", open_source),
    "external data": ("far.onnx", from_onnx),
    "masks to apply": ("m.safetensors", open_masks),
    "masks": ("m.safetensors", Masks.load),
    "weights": ("m.safetensors", load_model),
    "checkpoint": ("m.safetensors", load_checkpoint),
    "published weights": ("w.pth", read_torch_file),
    "images": ("images", lambda path: load_split(path, 16, "train", progress=False)),
    "image": ("images/a/1.png", _opened),
}


@pytest.mark.parametrize("kind", READERS)
def test_what_may_not_be_read_is_one_typed_line(place: Path, kind: str) -> None:
    name, read = READERS[kind]
    path = place / name
    with suppress(
        SparsenetError
    ):  # imports what it needs: somebody may not reach the interpreter's own folder
        read(path)
    shut = [path, path.parent]
    if kind == "external data":
        shut = [place / "far.bin", place]
    elif path.is_dir():
        shut += [p for p in path.rglob("*") if p.name != "1.png"]
    for closed in shut:
        for mode in (0, 0o444) if closed.is_dir() else (0,):
            with (
                with_mode(closed, mode),
                pytest.raises(SparsenetError, match=r"(?i)permission denied") as caught,
            ):
                read(path)
            assert "\n" not in str(caught.value)


COMMANDS = {
    "run": ["run", "m.safetensors", "--input", "x.npy", "--threads", "1", "--output", "out/y"],
    "convert": ["convert", "net.onnx", "--no-speed", "-o", "out/m"],
    "compile": ["compile", "m.safetensors", "--threads", "1", "-o", "out/b"],
    "train": ["train", "minixception-128", "--images", "16", "--stages", "16:1", "--quiet", "-o", "out/w"],
    "lottery": [
        "lottery",
        "minixception-128",
        "--images",
        "16",
        "--stages",
        "16:1",
        "--quiet",
        "-o",
        "out/t",
    ],
}


@pytest.mark.parametrize("mode", [0, 0o444, 0o555])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_that_may_not_be_written_is_one_line_before_work(
    place: Path, command: str, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that what it needs is imported, for the same reason.
    elsewhere = [*COMMANDS[command][:-1], "m.safetensors/none"]
    assert CliRunner().invoke(main, elsewhere).exit_code == 2

    def worked(*_: object, **__: object) -> None:
        raise AssertionError("work was begun")

    for owner, name in ((sparsenet, "load"), (nn.Module, "__init__")):
        monkeypatch.setattr(owner, name, worked)
    before = tree(place)
    with with_mode(place / "out", mode):
        done = CliRunner().invoke(main, COMMANDS[command])
    assert done.exit_code == 2, done.output
    assert len(done.stderr.splitlines()) == 1
    assert COMMANDS[command][-1] in done.stderr
    assert tree(place) == before


def test_inputs_that_may_not_be_read_are_one_line(place: Path) -> None:
    (place / "shut").mkdir()
    (place / "x.npy").rename(place / "shut" / "x.npy")
    if os.geteuid() == 0:
        os.chown(place / "shut", SOMEBODY, SOMEBODY)
    for closed, mode in ((place / "shut", 0), (place / "shut" / "x.npy", 0)):
        with with_mode(closed, mode):
            done = CliRunner().invoke(
                main, ["run", "m.safetensors", "--threads", "1", "--input", "shut/x.npy"]
            )
        assert done.exit_code == 2
        assert done.stderr.splitlines()[0].startswith("error: shut/x.npy: ")
        assert done.stderr.endswith("ermission denied\n")
