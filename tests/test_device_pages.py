"""The pages about devices: their programs are compiled and run by their own commands, boards under emulation."""

from __future__ import annotations

import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import sparsenet
from sparsenet import TensorInfo
from sparsenet.cli import main
from sparsenet.targets.cpu.runtime import jit
from tests.sparsenet.sample_graphs import minixception

DOCS = Path(__file__).resolve().parents[1] / "docs"


def follow(page: str, end: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Write the files that ``page`` shows before the heading ``end`` and run its lines; what they print."""
    monkeypatch.chdir(folder)
    graph = minixception((16,))
    graph.inputs = [TensorInfo("input", (None, 3, 32, 32))]
    sparsenet.save(graph, "face.safetensors")
    text = (DOCS / page).read_text().partition(f"\n## {end}\n")[0]
    for file, body in re.findall(r"```\w+\n(?:/\* |# )([\w.-]+\.\w+)(?: \*/)?\n(.*?)```", text, re.DOTALL):
        Path(file).write_text(body)
    printed = ""
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        lines = block.splitlines()
        while lines and lines[0].startswith("sparsenet "):
            done = CliRunner().invoke(main, shlex.split(lines.pop(0), comments=True)[1:])
            assert done.exit_code == 0, done.output
            printed += done.output
        if lines:
            shell = subprocess.run(
                ["bash", "-ec", "\n".join(lines)], capture_output=True, text=True, check=False
            )
            assert shell.returncode == 0, (shell.stdout, shell.stderr)
            printed += shell.stdout
    return printed


def require(*tools: str) -> None:
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"there is no {', '.join(missing)}")


def test_microcontrollers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("make", "cmake", "cc", "arm-none-eabi-gcc", "qemu-system-arm")
    printed = follow("boards.md", "Which networks", tmp_path, monkeypatch)
    assert "\nok\n" in printed
    assert len(re.findall(r"^[0-3]: -?\d", printed, re.MULTILINE)) == 4
    assert (tmp_path / "build/app").stat().st_size > 10_000


def test_linux_boards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("cmake", "aarch64-linux-gnu-gcc", "qemu-aarch64")
    printed = follow("linux_boards.md", "Targets", tmp_path, monkeypatch)
    assert "from what was expected" in printed
    assert len(re.findall(r"^[0-3]: -?\d", printed, re.MULTILINE)) == 4
    assert (tmp_path / "build/camera").is_file()


def test_gateways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("ld")
    if platform.machine() != "x86_64" or "avx2" not in jit.cpu_features():
        pytest.skip("this CPU is no x86-64-v3")
    follow("gateways.md", "A bundle", tmp_path, monkeypatch)
    scores = subprocess.run(
        [sys.executable, "classify.py"], capture_output=True, text=True, check=True
    ).stdout
    assert len(scores.strip(" []\n").split()) == 4
