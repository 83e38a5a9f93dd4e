"""pytest-benchmark's files run, check before they time, and note what ran on what."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.engines.forced import forced_engine
from bench.subjects.alexnet import SHAPES, load
from bench.subjects.layers import LayerShape
from sparsenet.errors import DataError
from sparsenet.targets.cpu.runtime.threads import available_cpus

ROOT = Path(__file__).resolve().parents[2]
FAST = ["--benchmark-min-rounds=2", "--benchmark-max-time=0.01", "-p", "no:cacheprovider", "-q"]


def benchmarks(file: str, *words: str, out: Path) -> tuple[list[dict], str]:
    """What was timed, and what pytest said."""
    command = [sys.executable, "-m", "pytest", f"bench/{file}", *FAST, *words, f"--benchmark-json={out}"]
    # Benchmarks refuse to run inside a worker of parallel tests; the process of their own is none.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text())["benchmarks"], done.stdout


def test_layers_note_what_ran_and_more_threads_than_cpus_are_not_timed(tmp_path: Path) -> None:
    words = ["-k", "mobilenetv1-linear", "--sparsities", "0.9", "--batches", "1,2"]
    words += ["--thread-counts", f"1,{available_cpus() + 1}"]
    runs, said = benchmarks("bench_layers.py", *words, out=tmp_path / "out.json")
    assert len(runs) == 2 * 3
    assert len({run["group"] for run in runs}) == 2
    for run in runs:
        info = run["extra_info"]
        assert info["nnz"] == round(0.1 * info["weights"])
        assert info["threads"] == 1
        assert info["kernel"].startswith("f32_linear_")
        assert {"sparsity", "batch", "seed", "commit", "cpu_features", "numba", "compile_ms"} <= info.keys()
    assert len({run["extra_info"]["kernel"] for run in runs}) == 2
    assert "6 passed, 6 skipped" in said
    assert "need as many CPUs" in said


@pytest.mark.parametrize("kernels", ["dense", "sparse"])
def test_kernels_are_forced(kernels: str) -> None:
    layer = LayerShape("test", "conv2d", 32, 32, 40, 3)
    engine = forced_engine(layer.graph(0.1), kernels)  # type: ignore[arg-type]
    assert engine.explain()[0].format == ("dense" if kernels == "dense" else "pattern")
    np.testing.assert_allclose(
        engine(layer.example()), forced_engine(layer.graph(0.1), "auto")(layer.example()), atol=1e-4
    )


def test_really_pruned_layers(shared_data: Path) -> None:
    for name, shape in SHAPES.items():
        layer = load(name, shared_data / "pruned_alexnet")
        assert layer.weight.shape == shape.weight_shape
        assert 0.7 < layer.sparsity < 0.97


def test_a_matrix_of_another_shape_is_refused(tmp_path: Path) -> None:
    (tmp_path / "conv3.mtx").write_text("%%MatrixMarket matrix coordinate real general\n2 2 1\n1 1 1.0\n")
    with pytest.raises(DataError, match="the matrix is"):
        load("conv3", tmp_path)
    with pytest.raises(DataError, match="not a readable"):
        load("conv2_1", tmp_path)
