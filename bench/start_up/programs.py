"""What the processes run whose start is timed.

Elsewhere ``sparsenet.timing`` takes the time. Here importing it would be part of what is measured, so that these
programs read the clocks themselves: ``time.monotonic`` goes on through fork and exec, and a process knows when it was
asked for.
"""

from __future__ import annotations

import time

PHASES = ("interpreter", "imports", "load", "first", "wall", "processor")

_PROGRAM = """
import sys, time
clock = [float(sys.argv[1]), time.monotonic()]
{imports}
x = np.load(sys.argv[3])
clock.append(time.monotonic())
{load}
clock.append(time.monotonic())
{run}
clock.append(time.monotonic())
processor = time.process_time()
import json
phases = [b - a for a, b in zip(clock, clock[1:])] + [clock[-1] - clock[0], processor]
print(json.dumps({{"phases": phases, "numba": "numba" in sys.modules, "sum": float(np.abs(y).sum())}}))
"""
OURS = _PROGRAM.format(
    imports="import numpy as np, sparsenet; load = sparsenet.load",
    load="engine = load(sys.argv[2], threads=1)",
    run="y = engine(x)",
)
ORT = _PROGRAM.format(
    imports="import numpy as np, onnxruntime",
    load="""
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[2], options, providers=["CPUExecutionProvider"])
""",
    run="y = session.run(None, {session.get_inputs()[0].name: x})[0]",
)


def asked_now() -> str:
    """The moment at which a program is asked for, its first argument."""
    return str(time.monotonic())
