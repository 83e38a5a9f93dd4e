"""Cells as processes: what they accept, and that they end with the sweep that started them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sparsenet.errors import InputError
from tests.training.reproduce.tiny import TINY
from training.reproduce.cell import CELLS, main, run_cell
from training.reproduce.images import load_images

# A parent that starts a cell's watchdog in a child, tells the child's id, and waits to be killed: the child may be
# importing still when that happens.
PARENT = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c",
    f"import time; from training.reproduce.cell import end_with; end_with({os.getpid()}, 0.05); time.sleep(60)"])
print(child.pid, flush=True)
time.sleep(60)
"""


def test_arguments_are_paths_and_text_by_the_functions_signature(tmp_path: Path) -> None:
    out = tmp_path / "images" / "test-32.safetensors"
    run_cell("images.collect", TINY, [f"out={out}", "split=test", "size=32"])
    images = load_images(out)
    assert (len(images), images.size, len(images.class_names)) == (8, 32, 4)


def test_unknown_cells_and_arguments_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown cell 'os\.system'"):
        run_cell("os.system", TINY, [])
    with pytest.raises(InputError, match="colour=red"):
        run_cell(CELLS[0], TINY, ["colour=red"])


def test_bad_settings_are_one_line_and_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["images.collect", str(tmp_path / "absent.json")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_cell_ends_when_its_sweep_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 300
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def alive(process: int) -> bool:
    """Running, not merely waiting for somebody to ask how it ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/status")
    return not (status.exists() and "\nState:\tZ" in status.read_text())
