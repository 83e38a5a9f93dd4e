"""The cache of machine code: found again without Numba, recompiled when damaged, never fatal when unwritable."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparsenet.io import cache
from sparsenet.targets.cpu.runtime import jit

PROGRAM = """
import sys
import numpy as np
from sparsenet import Engine, Graph, Node, TensorInfo
graph = Graph("g", [TensorInfo("x", (None, 5))], ["y"], [Node("softmax", "s", ["x"], ["y"], {"axis": 1})])
y = Engine(graph, 2)(np.zeros((1, 5), np.float32))
assert abs(float(y.sum()) - 1) < 1e-6, y
print("numba" in sys.modules)
"""


def run(cache: Path) -> str:
    environment = {**os.environ, "SPARSENET_CACHE_DIR": str(cache)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return done.stdout.strip()


@pytest.mark.slow
def test_a_warm_start_needs_no_numba_and_damage_is_noticed(tmp_path: Path) -> None:
    assert run(tmp_path) == "True"
    assert run(tmp_path) == "False"
    damaged = next(tmp_path.rglob("f32_softmax*.o"))
    damaged.write_bytes(damaged.read_bytes()[:-50])
    assert run(tmp_path) == "True"
    assert run(tmp_path) == "False"


def test_a_damaged_object_is_said_and_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSENET_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache, "_warned", False)
    monkeypatch.setattr(jit, "_compile", lambda build: b"code")
    assert jit.payload("never", lambda: None) == b"code"
    (kept,) = objects(tmp_path)
    whole = kept.read_bytes()
    for damaged in (b"", whole[:20], whole[:-1], whole[:-1] + b"x", whole + b"x", b"\0" * 32 + whole[32:]):
        kept.write_bytes(damaged)
        monkeypatch.setattr(cache, "_warned", False)
        with pytest.warns(RuntimeWarning, match="is ignored: it is damaged"):
            assert jit.payload("never", lambda: None) == b"code"
        assert kept.read_bytes() == whole


def objects(cache: Path) -> list[Path]:
    return sorted(cache.rglob("*.o"))


@pytest.mark.slow
def test_what_cannot_be_kept_is_said_once_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "tmp").mkdir()
    cache = tmp_path / "file" / "below"
    environment = {**os.environ, "SPARSENET_CACHE_DIR": str(cache), "TMPDIR": str(tmp_path / "tmp")}
    program = PROGRAM + (
        "from sparsenet.targets.cpu.runtime import jit\n"
        "for path in list(jit._unkept): jit.payload(path.split('/')[1][:-2], lambda: 1 / 0)  # is not built again\n"
        "assert jit._unkept\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "always", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.count("RuntimeWarning") == 1
    assert f"cannot be kept in {cache}: Not a directory" in done.stderr
    assert "set SPARSENET_CACHE_DIR to a folder of your own" in done.stderr
    assert not list((tmp_path / "tmp").iterdir())
