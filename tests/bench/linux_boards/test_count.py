"""Counted instructions stay what they were: the budgets of code for 64-bit Arm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.linux_boards.count import TOOLS, instructions
from sparsenet import Graph, TensorInfo
from tests.sparsenet.quantized import quantized
from tests.sparsenet.sample_graphs import minixception

#: Thousands of instructions of one inference, by what was counted with LLVM 22; they repeat exactly.
BUDGETS = {("cortex-a72", False): 501.1, ("cortex-a76", True): 545.5}


def small_graph() -> Graph:
    """A MiniXception with 80 % zeros over 3×32×32."""
    graph = minixception((16,))
    graph.inputs = [TensorInfo("input", (None, 3, 32, 32))]
    graph.verify()
    return graph


@pytest.mark.skipif(not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}")
@pytest.mark.parametrize("cpu, in_bytes", BUDGETS)
def test_instructions(cpu: str, in_bytes: bool, tmp_path: Path) -> None:
    """Three parts in a hundred more are a change for the worse; as many less want a new budget."""
    graph = quantized(small_graph()) if in_bytes else small_graph()
    assert instructions(graph, cpu, tmp_path) / 1e3 == pytest.approx(BUDGETS[cpu, in_bytes], rel=0.03)
