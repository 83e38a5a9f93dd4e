"""Names of networks where a model file is meant."""

from __future__ import annotations

import gc
import importlib.metadata
import json
import tempfile
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

import sparsenet
from converters.conversion.sources import open_graph
from sparsenet.cli import main
from sparsenet.errors import InputError
from sparsenet.io.networks import make_network
from tests.sparsenet.sample_graphs import tiny_graph


class Tiny:
    """An entry point that makes a small network."""

    name = "tinynet"

    def load(self) -> object:
        return lambda name, size: tiny_graph() if (name, size) == ("tinynet", None) else None


@pytest.fixture(autouse=True)
def tinynet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A network is installed, and an empty working folder."""
    real = importlib.metadata.entry_points

    def entry_points(**asked: str) -> object:
        if asked["group"] != "sparsenet.networks":
            return real(**asked)
        return [Tiny()] * (asked.get("name", "tinynet") == "tinynet")

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", [["info"], ["run", "--random"], ["explain", "--calls"], ["profile"]])
def test_engine_commands_take_a_name(command: list[str], tmp_path: Path) -> None:
    result = CliRunner().invoke(main, [*command, "tinynet", "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)
    assert not list(tmp_path.glob("sparsenet-*/*.safetensors"))


@pytest.mark.filterwarnings("error::ResourceWarning")
def test_nothing_is_left_of_a_command_that_lacks_an_option(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["export-c", "tinynet"])
    assert result.exit_code == 2
    del result  # its traceback knows the context
    gc.collect()
    assert not list(tmp_path.glob("sparsenet-*"))


def test_an_onnx_file_is_sent_to_convert(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"\x08\x0a")
    result = CliRunner().invoke(main, ["info", "net.onnx"])
    assert result.exit_code == 2
    assert result.stderr == (
        "error: 'net.onnx' is no model file: `sparsenet convert net.onnx -o net.safetensors` makes one of it\n"
    )


def test_a_file_of_that_name_is_meant_first(tmp_path: Path) -> None:
    graph = tiny_graph()
    graph.name = "the file"
    sparsenet.save(graph, tmp_path / "tinynet")
    result = CliRunner().invoke(main, ["info", "tinynet", "--json"], catch_exceptions=False)
    assert json.loads(result.stdout)["name"] == "the file"
    assert open_graph("tinynet").name == "the file"


@pytest.mark.parametrize("command", ["info", "convert", "quantize"])
def test_a_misspelt_name_gets_a_suggestion(command: str) -> None:
    words = {"convert": ["-o", "x"], "quantize": ["-o", "x", "--calibrate", "random"]}.get(command, [])
    result = CliRunner().invoke(main, [command, "tinnynet", *words])
    assert (result.exit_code, result.stderr) == (
        2,
        "error: no such file: 'tinnynet': did you mean 'tinynet'?\n",
    )


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(InputError, match="unknown model 'other': choose from tinynet"):
        make_network("other")


def test_names_and_files_are_completed() -> None:
    complete = ShellComplete(main, {}, "sparsenet", "_SPARSENET_COMPLETE").get_completions
    found = [(item.type, item.value) for item in complete(["info"], "tin")]
    assert found == [("plain", "tinynet"), ("file", "tin")]
