"""What a C library is not made of or for is refused in one line, before anything is compiled."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import sparsenet
from sparsenet import TensorInfo
from sparsenet.c_library import CPUS, MACHINES, compile_c
from sparsenet.c_library.machine import machine_of
from sparsenet.cli import main
from sparsenet.errors import InputError
from tests.sparsenet.sample_graphs import tiny_graph


@pytest.mark.parametrize(
    "target, cpu, name, message",
    [
        (None, None, "net", "made for a target"),
        ("riscv64", None, "net", "target must be one of aarch64-linux"),
        (None, "pentium", "net", "cpu must be one of"),
        ("x86-64-v3", "cortex-a72", "net", "cortex-a72 is aarch64-linux, not x86-64-v3"),
        ("aarch64-linux", None, "2nd", "a letter first"),
        ("aarch64-linux", None, "a-b", "lower-case letters"),
    ],
)
def test_arguments(target: str | None, cpu: str | None, name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        compile_c(tiny_graph(), tmp_path, target, cpu=cpu, name=name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("other", ["thesis.tex", "CMakeLists.txt"])
def test_a_folder_of_other_files_is_left_alone(other: str, tmp_path: Path) -> None:
    (tmp_path / other).write_text("")
    with pytest.raises(InputError, match=rf"holds '{other}'"):
        compile_c(tiny_graph(), tmp_path, "aarch64-linux", name="net")
    assert [file.name for file in tmp_path.iterdir()] == [other]
    assert not (tmp_path / other).read_text()


def test_sizes_must_be_fixed(tmp_path: Path) -> None:
    graph = tiny_graph()
    graph.inputs = [TensorInfo("image", (None, 3, 8, 8), open=((2, "height"),))]
    with pytest.raises(InputError, match="sizes of 'image' are not fixed"):
        compile_c(graph, tmp_path, "aarch64-linux")


def test_command_line(tmp_path: Path) -> None:
    model, out = tmp_path / "tiny.safetensors", tmp_path / "out"
    sparsenet.save(tiny_graph(), model)
    command = ["compile", str(model), "-o", str(out)]
    for options in (
        ["--emit", "c"],
        ["--emit", "c", "--target", "x86-64-v3", "--threads", "2"],
        ["--emit", "c", "--target", "x86-64-v3", "--tune"],
        ["--target", "x86-64-v3"],
    ):
        assert CliRunner().invoke(main, [*command, *options]).exit_code == 2, options
    assert not out.exists()
    done = CliRunner().invoke(main, [*command, "--emit", "c", "--target", "aarch64-linux", "--json"])
    assert done.exit_code == 0, done.output
    record = json.loads(done.stdout)
    assert record["name"] == "out"
    sizes = {file.name: file.stat().st_size for file in out.iterdir()}
    assert record["files"] == sizes
    assert f"OUT_ARENA_BYTES {record['arena_bytes']}u" in (out / "out.h").read_text()


def test_every_processor_has_a_target() -> None:
    for cpu, (name, _) in CPUS.items():
        machine = machine_of(None, cpu)
        assert machine.target.instruction_set in ("aarch64", "x86_64")
        assert machine.target.features <= machine.features
        assert MACHINES[name].features <= machine.features
