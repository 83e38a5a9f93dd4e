"""Every op has a lowering on every target, or a reason why not; a family is loaded when it is first needed."""

from __future__ import annotations

import importlib
import subprocess
import sys
from types import ModuleType

import pytest

import sparsenet.targets.cpu.lower as cpu
import sparsenet.targets.cuda.lower as cuda
from sparsenet.graph.ops import OPS
from sparsenet.plan.lowering.families import FAMILIES


def test_a_cpu_runs_every_op() -> None:
    assert cpu.LOWER.keys() == OPS.keys()


def test_of_every_op_that_a_gpu_cannot_run_the_reason_is_known() -> None:
    assert cuda.LOWER.keys() | cuda.UNSUPPORTED.keys() == OPS.keys()
    assert not cuda.LOWER.keys() & cuda.UNSUPPORTED.keys()
    assert all(cuda.UNSUPPORTED.values())


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("target", [cpu, cuda])
def test_the_module_of_a_family_lowers_its_ops_and_no_other(target: ModuleType, family: str) -> None:
    """Who knows their way on one target finds it on another."""
    module = importlib.import_module(f"{target.__name__}.{family}")
    assert module.LOWER.keys() == set(FAMILIES[family]) & target.LOWER.keys()


def test_every_halo_is_found_where_the_table_says() -> None:
    halos = [importlib.import_module(f"{cpu.__name__}.{name}") for name in ("conv2d", "pooling")]
    assert cpu.HALOS.keys() == {op for module in halos for op in module.HALOS}


def test_planning_loads_no_family_that_the_network_has_no_op_of() -> None:
    code = (
        "import sys; from sparsenet.plan.make import make_plan; from sparsenet.plan.builder import Options\n"
        "from tests.sparsenet.sample_graphs import minixception\n"
        "graph = minixception(); make_plan(graph, Options())\n"
        "print(*sorted({node.op for node in graph.nodes}))\n"
        "print(*[name.rpartition('.')[2] for name in sys.modules if name.startswith('sparsenet.targets.cpu.lower.')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    ops, loaded = (set(line.split()) for line in shown.splitlines())
    needed = {family for family, members in FAMILIES.items() if ops & set(members)}
    assert "conv2d" in needed <= loaded
    falls_back = {"linear", "broadcast"}  # a convolution may be a product of matrices, a sum may broadcast
    assert loaded & FAMILIES.keys() <= needed | falls_back
