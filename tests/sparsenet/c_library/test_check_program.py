"""The program that proves a library on its board, with a library that gives the stored outputs, or others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from sparsenet import TensorInfo
from sparsenet.c_library.check_program import check_program, example_inputs
from sparsenet.c_library.header import header
from sparsenet.c_library.interface import Interface, Tensor
from tests.sparsenet.targets.c99.compiled import COMPILER, needs_compiler

LIBRARY = """
#include <math.h>
#include "net.h"
int net_init(net_ctx *ctx, void *arena, size_t bytes) { ctx->arena = arena; return bytes == 64 ? 0 : -2; }
int net_run(net_ctx *ctx, const float *input, float *output_y, float *output_y_expected) {
  output_y[0] = -INFINITY;
  output_y[1] = SECOND;
  output_y_expected[0] = input[0] + (ctx->arena ? 0.0f : 1.0f);
  return 0;
}
"""


@needs_compiler
@pytest.mark.parametrize("second, status", [("2.0f", 0), ("2.1f", 1), ("INFINITY", 1)])
def test_infinity_is_expected_where_it_is_stored(tmp_path: Path, second: str, status: int) -> None:
    """Names of outputs that differ by what the program adds to others do not collide."""
    infos = [TensorInfo("x", (None, 1)), TensorInfo("y", (None, 2)), TensorInfo("y_expected", (None, 1))]
    words = ["input", "output_y", "output_y_expected"]
    x, *results = [Tensor(word, f"net_{word}".upper(), info) for word, info in zip(words, infos, strict=True)]
    interface = Interface("net", "a net", [], [x], results, 64)
    feeds = example_inputs(interface)
    expected = {"y": np.array([[-np.inf, 2]], np.float32), "y_expected": feeds["x"]}
    (tmp_path / "net.h").write_text(header(interface))
    (tmp_path / "net.c").write_text(LIBRARY.replace("SECOND", second))
    (tmp_path / "test.c").write_text(check_program(interface, feeds, expected))
    command = [str(COMPILER), "-std=c99", "-Wall", "-Werror", "test.c", "net.c", "-o", "test", "-lm"]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert subprocess.run([tmp_path / "test"], check=False, capture_output=True).returncode == status
