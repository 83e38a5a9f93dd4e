"""Weights in files beside an ONNX model: read from its folder, and from nowhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import onnx
import pytest
from onnx import external_data_helper

from bench.model.cli import bench
from converters import from_onnx
from converters.conversion.command import convert as convert_command
from converters.conversion.pipeline import convert
from converters.conversion.sources import source_files
from converters.onnx_import import OnnxSource
from sparsenet.errors import InputError, ModelFileError
from tests.converters.onnx.models import model, node, weights

W = weights(6, 4, 3, 3)


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """A model in its own folder with its weights in ``weights.bin`` beside it, and a secret outside."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(1 << 16))
    proto = model([node("Conv", "x w b", "c"), node("Relu", "c")], {"w": W, "b": weights(6)})
    external_data_helper.convert_model_to_external_data(proto, location="weights.bin", size_threshold=0)
    onnx.save(proto, folder / "model.onnx")
    return folder / "model.onnx"


def redirect(path: Path, **entries: str) -> None:
    """Change the description of the first external tensor."""
    proto = onnx.load(path, load_external_data=False)
    tensor = proto.graph.initializer[0]
    kept = {entry.key: entry.value for entry in tensor.external_data} | entries
    del tensor.external_data[:]
    tensor.external_data.extend(onnx.StringStringEntryProto(key=k, value=v) for k, v in kept.items())
    path.write_bytes(proto.SerializeToString())


def test_external_data_beside_the_model_is_read(external: Path) -> None:
    np.testing.assert_array_equal(from_onnx(external).constants["w"], W)


def commands(model: Path, name: str) -> list[Callable[[], object]]:
    """What writes to ``name`` after it has read ``model``; a command's error is raised."""

    def command(main: click.Command, *options: object) -> Callable[[], object]:
        return lambda: main.main([str(model), *map(str, options)], standalone_mode=False)

    rounds = ("--engines", "ours", "--threads", "1", "--rounds", "2", "-w", "0", "-q")
    return [
        command(convert_command, "--no-speed", "-o", name),
        command(bench, *rounds, "-x", name),
        command(bench, *rounds, "--trace", name),
        lambda: convert(model, name, measure_speed=False),
        lambda: convert(OnnxSource(model), name, measure_speed=False),
    ]


@pytest.mark.parametrize("number", range(5))
@pytest.mark.parametrize("name", ["weights.bin", "model.onnx", "soft"])
def test_no_output_replaces_what_was_read(external: Path, name: str, number: int) -> None:
    weights_file = external.parent / "weights.bin"
    (external.parent / "soft").symlink_to(weights_file)
    before = {file.name: (file.lstat().st_ino, file.read_bytes()) for file in external.parent.iterdir()}
    with pytest.raises(InputError, match=f"{name}: is the same file as '.*', which is read"):
        commands(external, str(external.parent / name))[number]()
    assert before == {
        file.name: (file.lstat().st_ino, file.read_bytes()) for file in external.parent.iterdir()
    }


def test_what_was_there_and_is_not_read_is_replaced(external: Path) -> None:
    other = external.parent / "old.safetensors"
    other.write_bytes(b"old")
    convert(external, other, measure_speed=False)
    assert other.stat().st_size > 100


def test_external_data_of_branches_and_functions_is_found(external: Path) -> None:
    proto = onnx.load(external, load_external_data=False)
    tensor = proto.graph.initializer[0]
    tensor.external_data[0].value = "inside"
    constant = onnx.helper.make_node("Constant", [], ["k"], value=tensor)
    branch = onnx.helper.make_graph([constant], "b", [], [onnx.helper.make_tensor_value_info("k", 1, None)])
    both = [onnx.helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)]
    proto.functions.append(onnx.helper.make_function("d", "f", ["c"], ["y"], both, proto.opset_import))
    external.write_bytes(proto.SerializeToString())
    assert {file.name for file in source_files(external)} == {"model.onnx", "weights.bin", "inside"}


def test_external_data_in_a_folder_below_is_read(external: Path) -> None:
    (external.parent / "data").mkdir()
    (external.parent / "weights.bin").rename(external.parent / "data" / "weights.bin")
    proto = onnx.load(external, load_external_data=False)
    for tensor in proto.graph.initializer:
        tensor.external_data[0].value = "data/weights.bin"
    external.write_bytes(proto.SerializeToString())
    np.testing.assert_array_equal(from_onnx(external).constants["w"], W)


@pytest.mark.parametrize(
    "location",
    [
        "../secret.bin",
        "data/../../secret.bin",
        "..\\secret.bin",
        "/etc/passwd",
        "C:\\secret.bin",
        "\\\\server\\secret.bin",
        "",
        "weights.bin\0",
    ],
)
def test_external_data_outside_the_folder_is_refused(external: Path, location: str) -> None:
    redirect(external, location=location)
    with pytest.raises(ModelFileError, match="points outside the model's folder"):
        from_onnx(external)


def test_absolute_path_to_the_right_file_is_refused(external: Path) -> None:
    redirect(external, location=str(external.parent / "weights.bin"))
    with pytest.raises(ModelFileError, match="points outside"):
        from_onnx(external)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_symbolic_links_are_not_followed(external: Path, kind: str) -> None:
    link = external.parent / "link"
    link.symlink_to(external.parents[1] / "secret.bin" if kind == "file" else external.parents[1])
    redirect(external, location="link" if kind == "file" else "link/secret.bin", offset="0")
    with pytest.raises(ModelFileError, match="symbolic link 'link'"):
        from_onnx(external)


def test_hard_links_are_not_read(external: Path) -> None:
    (external.parent / "link").hardlink_to(external.parents[1] / "secret.bin")
    redirect(external, location="link", offset="0")
    with pytest.raises(ModelFileError, match="'link' is a hard link, which may be any file: copy it"):
        from_onnx(external)


@pytest.mark.parametrize(
    "entries, message",
    [
        ({"offset": str(1 << 40)}, "ends before byte"),
        ({"offset": "-4"}, "do not fit"),
        ({"length": "8"}, "do not fit"),
        ({"length": "many"}, "damaged description"),
        ({"location": "missing.bin"}, "No such file"),
        ({"location": "."}, "cannot read|not a regular file"),
    ],
)
def test_external_data_that_does_not_fit(external: Path, entries: dict[str, str], message: str) -> None:
    redirect(external, **entries)
    with pytest.raises(ModelFileError, match=message):
        from_onnx(external)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_external_data_in_a_named_pipe_does_not_hang(external: Path) -> None:
    os.mkfifo(external.parent / "pipe")
    redirect(external, location="pipe")
    with pytest.raises(ModelFileError, match="not a regular file"):
        from_onnx(external)


def test_external_data_of_bytes_has_no_folder(external: Path) -> None:
    with pytest.raises(ModelFileError, match="give the path of the model"):
        from_onnx(external.read_bytes())
