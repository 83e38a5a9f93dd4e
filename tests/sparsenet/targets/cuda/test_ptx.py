"""Every kernel compiles for GPUs, keeps its sums in registers and loads 128 bits at a time."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.skipif(importlib.util.find_spec("numba_cuda") is None, reason="numba-cuda is not installed")
def test_every_kernel_compiles_to_good_ptx() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.sparsenet.targets.cuda.ptx", "8.0", "9.0"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    if "NvvmSupportError" in result.stderr or "libnvvm" in result.stderr:
        pytest.skip("NVVM is not installed: pip install 'numba-cuda[cu13]'")
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout)
    assert [name for name, ptx in found.items() if ptx["local"]] == []
    assert [name for name, ptx in found.items() if "_conv_" in name and not ptx["vectors"]] == []
    assert [name for name, ptx in found.items() if ptx["doubles"]] == []
