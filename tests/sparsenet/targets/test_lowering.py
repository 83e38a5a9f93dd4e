"""Every op has a lowering on every target, or a reason why not."""

from __future__ import annotations

import sparsenet.targets.cpu.lower as cpu
import sparsenet.targets.cuda.lower as cuda
from sparsenet.graph.ops import OPS


def test_a_cpu_runs_every_op() -> None:
    assert cpu.LOWER.keys() == OPS.keys()


def test_of_every_op_that_a_gpu_cannot_run_the_reason_is_known() -> None:
    assert cuda.LOWER.keys() | cuda.UNSUPPORTED.keys() == OPS.keys()
    assert not cuda.LOWER.keys() & cuda.UNSUPPORTED.keys()
    assert all(cuda.UNSUPPORTED.values())
