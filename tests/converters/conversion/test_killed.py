"""SIGKILL during ``convert``: at the target stands nothing, the old file or the new one, never a part of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest

import sparsenet
from tests.converters.onnx.models import model, node, weights

ROOT = Path(__file__).resolve().parents[3]
#: Converts over and over; the parent kills it at some moment.
CONVERT = """
import sys
from converters.conversion.pipeline import convert
print("ready", flush=True)
while True:
    convert(sys.argv[1], sys.argv[2], measure_speed=False)
    print("done", flush=True)
"""


def network(path: Path, channels: int) -> None:
    kernel = weights(channels, 4, 3, 3)
    onnx.save(model([node("Conv", "x k", "a", pads=[1] * 4), node("Relu", "a", "y")], {"k": kernel}), path)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
@pytest.mark.parametrize("old", [False, True], ids=["new file", "over an old file"])
def test_the_target_is_whole_whenever_convert_is_killed(tmp_path: Path, old: bool) -> None:
    source, target = tmp_path / "net.onnx", tmp_path / "net.safetensors"
    network(source, 3000)  # 400 kB: written in more than one go
    if old:
        sparsenet.save(sparsenet.Graph("old", [sparsenet.TensorInfo("x", (None, 2))], ["x"], []), target)
    random = np.random.default_rng(0)
    found = set()
    for attempt in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", CONVERT, str(source), str(target)],
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        for _ in range(1 + (attempt > 2)):  # before the first file is whole, and after
            assert process.stdout.readline()
        time.sleep(random.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if target.exists():
            found.add(sparsenet.load_graph(target).name)
        elif old:
            raise AssertionError("the old file is gone")
    assert found <= {"old", "net"}
    assert "net" in found
    # Killed between the two calls that replace a file, its data stay behind, but whole.
    assert {sparsenet.load_graph(path).name for path in tmp_path.glob(".*.part")} <= {"net"}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL")
@pytest.mark.parametrize("old", [b"old", None])
@pytest.mark.parametrize("call", ["write", "fsync", "link", "replace"])
def test_killed_at_each_step_of_writing(tmp_path: Path, call: str, old: bytes | None) -> None:
    """The same without chance: the process kills itself right before a call."""
    target = tmp_path / "m"
    if old:
        target.write_bytes(old)
    code = (
        "import os, pathlib, signal, sys\n"
        "import sparsenet.io.files\n"
        "def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"if {call!r} == 'replace': pathlib.Path.replace = die\n"
        f"elif {call!r} == 'write': os.fchmod = die\n"
        f"else: os.{call} = die\n"
        "sparsenet.io.files.write_atomically(sys.argv[1], b'new' * 100000)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(target)], env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    left = [path for path in tmp_path.iterdir() if path != target]
    if old:
        assert done.returncode == -signal.SIGKILL
        assert target.read_bytes() == old
        assert all(path.read_bytes() == b"new" * 100000 for path in left)  # whole, under another name
    elif done.returncode == 0:  # a new file takes over no permissions, and replaces none
        assert call in ("write", "replace")
        assert target.read_bytes() == b"new" * 100000
        assert not left
    else:
        assert not target.exists()
        assert not left
