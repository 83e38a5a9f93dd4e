"""From nothing to the first answer: a fresh process for the engine, and one for PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from sparsenet.errors import SparsenetError
from training.report.model import Startup

_COMMON = """
import json, resource, sys, time
clock = [time.perf_counter()]
{imports}
clock.append(time.perf_counter())
{load}
clock.append(time.perf_counter())
{run}
clock.append(time.perf_counter())
try:  # Linux keeps ru_maxrss across fork and exec: there it would tell the size of the process that asked
    memory = next(int(s.split()[1]) for s in open("/proc/self/status") if s.startswith("VmHWM")) * 1024
except OSError:
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps([b - a for a, b in zip(clock, clock[1:])] + [memory]))
"""

_ENGINE = _COMMON.format(
    imports="import numpy as np, sparsenet; from sparsenet.engine import Engine",
    load="engine = sparsenet.load(sys.argv[1], threads=1); x = np.zeros((1, 3, *[int(sys.argv[2])] * 2), np.float32)",
    run="engine(x)",
)
_PYTORCH = _COMMON.format(
    imports="import torch; from training.checkpoint import load_model; torch.set_num_threads(1)",
    load="model = load_model(sys.argv[1])[0]; x = torch.zeros((1, 3, *[int(sys.argv[2])] * 2))",
    run="with torch.inference_mode(): model(x)",
)


def startup(model_file: Path, weights_file: Path, size: int) -> list[Startup]:
    """Seconds and memory until the first answer, one thread, one image of ``size`` × ``size`` pixels.

    Args:
        model_file: what the engine loads; its kernels must have been compiled before, as on every start but the first.
        weights_file: the same network for PyTorch.
        size: side of the input.

    Raises:
        SparsenetError: one of the two processes failed.
    """
    return [_measure("sparse", _ENGINE, model_file, size), _measure("pytorch", _PYTORCH, weights_file, size)]


def _measure(engine: str, program: str, path: Path, size: int) -> Startup:
    done = subprocess.run(  # noqa: S603 - this interpreter, a program of this file
        [sys.executable, "-c", program, str(path), str(size)], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise SparsenetError(f"measuring the start of {engine} failed: {reason}")
    importing, loading, first, memory = json.loads(done.stdout)
    return Startup(engine, importing, loading, first, int(memory))
