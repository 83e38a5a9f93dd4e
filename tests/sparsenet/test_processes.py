"""Engines across processes: forked and spawned ones, other CPUs, installs that cannot be written, no compiler."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sparsenet
from sparsenet import Engine, Graph, Node, TensorInfo, save
from sparsenet.errors import MissingCompilerError
from tests.full import FULL, chosen
from tests.sparsenet.sample_graphs import tiny_graph

ROOT = Path(__file__).resolve().parents[2]
RUN = """
import sys
import numpy as np
import sparsenet
engine = sparsenet.load(sys.argv[1], threads=1)
x = np.load(sys.argv[2])
np.save(sys.argv[3], engine(x)[0])
print({decision.kernel for decision in engine.explain()})
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A model, an input, and where the output shall be."""
    save(tiny_graph(), tmp_path / "m.safetensors")
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32))
    return tmp_path / "m.safetensors", tmp_path / "x.npy", tmp_path / "y.npy"


def run_elsewhere(files: tuple[Path, Path, Path], code: str = RUN, **environment: str) -> str:
    """Run the model in a process of its own, compare its output, return what it printed."""
    model, given, output = files
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", "-c", code, *map(str, files)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    want = sparsenet.load(model, threads=1)(np.load(given))[0]
    np.testing.assert_allclose(np.load(output), want, rtol=1e-5, atol=1e-6)
    return done.stdout + done.stderr


# --- fork and spawn ---------------------------------------------------------------------------------------------


def _answer(engine: Engine, x: np.ndarray, queue: Any) -> None:
    queue.put(engine(x)[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_forked_process_runs_its_parents_engine(threads: int) -> None:
    """Though other threads are in the middle of runs, and of holding locks, whenever it forks."""
    engine = Engine(tiny_graph(), threads)
    x = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    want = engine(x)[0]
    stop = threading.Event()

    def keep_running() -> None:
        while not stop.is_set():
            engine(x)

    busy = [threading.Thread(target=keep_running) for _ in range(2)]
    for thread in busy:
        thread.start()
    context = multiprocessing.get_context("fork")
    try:
        for _ in range(8 if FULL else 4):
            queue = context.Queue()
            child = context.Process(target=_answer, args=(engine, x, queue))
            child.start()
            np.testing.assert_array_equal(queue.get(timeout=60), want)
            child.join(60)
            assert child.exitcode == 0
    finally:
        stop.set()
        for thread in busy:
            thread.join()
    np.testing.assert_array_equal(engine(x)[0], want)
    engine.close()


def _load_and_run(model: str, x: np.ndarray) -> np.ndarray:
    result: np.ndarray = sparsenet.load(model, threads=1)(x)[0]
    return result


def test_spawned_processes_load_the_same_model(files: tuple[Path, Path, Path]) -> None:
    model, given, _ = files
    x = np.load(given)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        answers = pool.starmap(_load_and_run, [(str(model), x)] * 4)
    for answer in answers:
        np.testing.assert_array_equal(answer, _load_and_run(str(model), x))


# --- other machines ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", chosen(["8"], ["8", "4"]))
def test_shorter_vectors(files: tuple[Path, Path, Path], lanes: str) -> None:
    assert f"cpu_v{lanes}" in run_elsewhere(files, SPARSENET_LANES=lanes)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="names x86 features")
def test_a_processor_without_avx(files: tuple[Path, Path, Path]) -> None:
    """Code for x86-64 as it began: SSE2, no fused multiply-add."""
    printed = run_elsewhere(files, NUMBA_CPU_NAME="x86-64", NUMBA_CPU_FEATURES="+sse,+sse2,+cx8,+fxsr,+mmx")
    assert "cpu_v4" in printed


@pytest.mark.parametrize("place", chosen(["/dev/null/cache"], ["/dev/null/cache", "/proc/cache"]))
def test_a_cache_folder_that_cannot_be_written(files: tuple[Path, Path, Path], place: str) -> None:
    """Code is then compiled for this process alone: one layer, to be quick."""
    x = [TensorInfo("x", (None, 3, 8, 8))]
    save(Graph("g", x, ["y"], [Node("relu", "r", ["x"], ["y"])]), files[0])
    assert "cpu_v" in run_elsewhere(files, SPARSENET_CACHE_DIR=place)


def without_numba(tmp_path: Path, code: str) -> str:
    """``code`` where Numba and LLVM are not installed: nothing but what the engine cannot do without."""
    packages = tmp_path / "packages"
    packages.mkdir()
    site = Path(np.__file__).parents[1]
    for name in ("numpy", "numpy.libs", "safetensors", "click"):
        if (site / name).exists():
            (packages / name).symlink_to(site / name)
    lines = f"import sys; sys.path[:0] = [{str(packages)!r}, {str(ROOT)!r}]\n"
    arguments = [str(tmp_path / name) for name in ("m.safetensors", "x.npy", "y.npy")]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", lines + code, *arguments],
        env={**os.environ, "SPARSENET_CACHE_DIR": str(tmp_path / "cache")},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_without_a_compiler_numpy_takes_over_and_says_so(
    files: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    printed = without_numba(tmp_path, RUN)
    assert "RuntimeWarning: kernels cannot be compiled (No module named 'numba'); running on NumPy" in printed
    assert "{'numpy'}" in printed
    want = sparsenet.load(files[0], threads=1)(np.load(files[1]))[0]
    np.testing.assert_allclose(np.load(files[2]), want, rtol=1e-5, atol=1e-6)


def test_compiled_kernels_can_be_insisted_on(files: tuple[Path, Path, Path], tmp_path: Path) -> None:
    code = (
        "import sparsenet\nfrom sparsenet.errors import MissingCompilerError\n"
        "try:\n    sparsenet.load(sys.argv[1], backend='compiled')\n"
        "except MissingCompilerError as error:\n    print('refused:', error)\n"
    )
    assert "refused: kernels cannot be compiled: No module named 'numba'; install numba" in without_numba(
        tmp_path, code
    )
    assert issubclass(MissingCompilerError, ImportError)
