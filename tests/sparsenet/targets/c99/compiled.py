"""Exported networks, compiled on this machine and called from here."""

from __future__ import annotations

import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sparsenet import Graph, reference
from sparsenet.targets.c99.export import Export, export_c
from sparsenet.targets.c99.weights import as_stored

COMPILER = next((name for name in ("gcc", "clang", "cc") if shutil.which(name)), None)
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C compiler: gcc, clang or cc")
STRICT = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
#: Bytes around the arena that must stay as they are.
GUARD = 64
FILL = 0xFF  # four of them are NaN


def compile_c(
    folder: Path, *arguments: str, compiler: str | None = COMPILER, before: Sequence[str] = ()
) -> None:
    """Run the compiler in ``folder``, warnings being errors; ``before``: a command that runs it."""
    assert compiler is not None
    done = subprocess.run(
        [*before, compiler, *STRICT, *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:2000]


@functools.cache
def sanitizers(compiler: str | None = COMPILER) -> tuple[str, ...]:
    """Flags that make a program watch its memory; none where the compiler lacks their library, a package of its own."""
    assert compiler is not None
    flags = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "empty.c").write_text("int main(void) { return 0; }\n")
        done = subprocess.run([compiler, *flags, "empty.c"], cwd=name, capture_output=True, check=False)
    return flags if done.returncode == 0 else ()


class Compiled:
    """An exported network in a shared library."""

    def __init__(self, graph: Graph, folder: Path, *flags: str, **options: Any) -> None:
        self.exported: Export = export_c(graph, folder, name="net", **options)
        self.stored = as_stored(graph, options.get("values", "f32"))
        compile_c(folder, "-O1", "-shared", "-fPIC", *flags, "net.c", "net_weights.c", "-o", "net.so", "-lm")
        self.library = ctypes.CDLL(str(folder / "net.so"))
        self.sizes = {
            name: int(size)
            for name, size in re.findall(r"#define NET_(\w+) (\d+)u", self.exported.files["net.h"])
        }

    def context(self) -> Context:
        """A context with an arena of its own."""
        return Context(self)


class Context:
    """A context, and an arena full of NaN between guards."""

    def __init__(self, network: Compiled) -> None:
        self.network, size = network, network.sizes["ARENA_BYTES"]
        self.memory = np.full(size + 2 * GUARD + 16, FILL, np.uint8)
        self.start = GUARD + (-(self.memory.ctypes.data + GUARD)) % 16
        self.size = size
        self.ctx = ctypes.create_string_buffer(4096 + 4 * len(network.exported.plan.stages))
        assert self.call("init", self.memory.ctypes.data + self.start, size) == 0

    def call(self, function: str, *arguments: int) -> int:
        """A function of the library; pointers are integers."""
        words = [ctypes.c_void_p(word) for word in arguments]
        return int(getattr(self.network.library, f"net_{function}")(self.ctx, *words))

    def outputs(self) -> list[npt.NDArray[Any]]:
        """Arrays for the results, full of NaN, and behind them for how many elements of them are valid."""
        plan = self.network.exported.plan
        results = [
            np.full([int(d or 1) for d in info.shape[1:]], np.nan, np.float32) for info in plan.outputs
        ]
        return [*results, *(np.full(1, -1, np.int32) for _ in plan.counts)]

    def run(self, *inputs: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
        """The results of whole inputs; nothing beside the arena is written."""
        given = [np.ascontiguousarray(array) for array in inputs]
        outputs = self.outputs()
        assert self.call("run", *(array.ctypes.data for array in [*given, *outputs])) == 0
        self.check_guards()
        return outputs

    def push(self, image: npt.NDArray[Any], layout: str = "chw") -> list[npt.NDArray[Any]]:
        """The results of an image that is given row by row; they are complete with the last row at the latest."""
        image = image.reshape(image.shape[-3:])
        outputs = self.outputs()
        assert self.call("begin", *(array.ctypes.data for array in outputs)) == 0
        height = image.shape[1 if layout == "chw" else 0]
        found = 0
        for y in range(height):
            row = np.ascontiguousarray(image[:, y] if layout == "chw" else image[y])
            found = self.call("push_row", row.ctypes.data)
        assert found == 1
        self.check_guards()
        return outputs

    def check_guards(self) -> None:
        """Fail if a byte beside the arena has changed."""
        assert (self.memory[: self.start] == FILL).all()
        assert (self.memory[self.start + self.size :] == FILL).all()


def assert_same(found: npt.NDArray[Any], expected: npt.NDArray[Any], tolerance: float = 2e-5) -> None:
    """Equal but for rounding, by the largest finite number; NaN and infinity at the same places."""
    finite = expected[np.isfinite(expected)]
    scale = float(np.abs(finite).max(initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * scale)


def assert_exports(graph: Graph, folder: Path, *, seed: int = 0, **options: Any) -> Compiled:
    """``graph`` in C gives the reference's results, whole and, if it takes one image, row by row; twice in turn."""
    network = Compiled(graph, folder, **options)
    rng = np.random.default_rng(seed)
    context = network.context()
    for _ in range(2):
        feeds = {
            info.name: rng.standard_normal([1, *(int(d or 1) for d in info.shape[1:])], np.float32)
            for info in graph.inputs
        }
        expected = reference.run(network.stored, feeds)
        arrays = [feeds[info.name][0] for info in graph.inputs]
        results = context.run(*arrays)
        for name, found in zip(graph.outputs, results, strict=True):
            assert_same(found, expected[name][0])
        if "ROWS" in network.sizes:
            for whole, pushed in zip(results, context.push(arrays[0]), strict=True):
                np.testing.assert_array_equal(whole, pushed)
    return network
