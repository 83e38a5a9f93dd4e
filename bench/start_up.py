"""From nothing to the first answer, in processes of their own: model file, compiled bundle, ONNX Runtime, in turn.

python -m bench.start_up --model mobilenetv1 --sparsity 0.8 --rounds 10 --json out.json
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import sparsenet
from bench.engines.onnx_writer import write_onnx
from bench.measure.command import Parser, run
from bench.subjects.networks import MODELS, build_graph
from bench.subjects.sparsity import sparsify
from sparsenet import bundle
from sparsenet.checks import real_number, whole_number
from sparsenet.errors import SparsenetError
from sparsenet.io.files import require_outputs, write_atomically
from sparsenet.text.table import render, to_json

PHASES = ("interpreter", "imports", "load", "first", "wall", "processor")

# Clocks: time.monotonic() goes on through fork and exec, so a process knows when it was asked for.
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
_OURS = _PROGRAM.format(
    imports="import numpy as np, sparsenet; load = sparsenet.load",
    load="engine = load(sys.argv[2], threads=1)",
    run="y = engine(x)",
)
_ORT = _PROGRAM.format(
    imports="import numpy as np, onnxruntime",
    load="""
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[2], options, providers=["CPUExecutionProvider"])
""",
    run="y = session.run(None, {session.get_inputs()[0].name: x})[0]",
)


@dataclass(frozen=True)
class Start:
    """One way to start, one thread.

    Attributes:
        what: the engine and what it loads.
        seconds: median over rounds of each of ``PHASES``; ``processor`` is what all of them took of a core, which other
            processes cannot lengthen as they do ``wall``.
        least: least of each.
        numba: whether Numba was imported.
    """

    what: str
    seconds: dict[str, float]
    least: dict[str, float]
    numba: bool


def measure(model: str, sparsity: float, rounds: int, size: int | None = None) -> list[Start]:
    """Start every engine ``rounds`` times, in turn, on the same network and input; the first turn warms the caches.

    Raises:
        SparsenetError: a process failed, or the engines do not agree.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        graph = sparsify(build_graph(model, size), sparsity)
        sparsenet.save(graph, folder / "model.safetensors")
        write_onnx(graph, folder / "model.onnx")
        engine = sparsenet.load(folder / "model.safetensors", threads=1)
        bundle.save(engine.plan, folder / "bundle", sparse=engine.sparse, metadata=engine.metadata)
        shape = [1, *(int(d) for d in engine.inputs[0].shape[1:] if d is not None)]
        np.save(folder / "x.npy", np.random.default_rng(0).standard_normal(shape, np.float32))
        ways = {
            "model file": (_OURS, "model.safetensors"),
            "bundle": (_OURS, "bundle"),
            "ONNX Runtime": (_ORT, "model.onnx"),
        }
        runs = [
            {what: _run(program, folder, file) for what, (program, file) in ways.items()}
            for _ in range(rounds + 1)
        ]
    sums = [float(run["sum"]) for run in runs[0].values()]  # type: ignore[arg-type]
    if not np.allclose(sums, sums[0], rtol=1e-3):
        raise SparsenetError(f"the engines do not agree: sums of outputs {sums}")
    return [_summary(what, [run[what] for run in runs[1:]]) for what in ways]


def _summary(what: str, runs: Sequence[dict[str, object]]) -> Start:
    table = np.array([run["phases"] for run in runs])
    median, least = (
        dict(zip(PHASES, row.tolist(), strict=True)) for row in (np.median(table, axis=0), table.min(axis=0))
    )
    return Start(what, median, least, any(run["numba"] for run in runs))


def _run(program: str, folder: Path, file: str) -> dict[str, object]:
    command = [sys.executable, "-c", program, str(time.monotonic()), file, "x.npy"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    done = subprocess.run(  # noqa: S603 - this interpreter, a program of this file
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise SparsenetError(f"starting on {file} failed: {reason}")
    return dict(json.loads(done.stdout))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = Parser(prog="python -m bench.start_up", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mobilenetv1", choices=sorted(MODELS))
    parser.add_argument("--size", type=int, help="side of the image")
    parser.add_argument("--sparsity", type=float, default=0.8)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    given = parser.parse_args(arguments)
    require_outputs([given.json])
    real_number(given.sparsity, "sparsity", 0, 1)
    whole_number(given.rounds, "rounds")
    if given.size is not None:
        whole_number(given.size, "size", 2**14, 8)
    starts = measure(given.model, given.sparsity, given.rounds, given.size)
    for title, pick in (("median", "seconds"), ("least", "least")):
        rows = [(s.what, *(getattr(s, pick)[p] * 1e3 for p in PHASES), s.numba) for s in starts]
        print(f"ms, {title} of {given.rounds} cold processes")
        print(render(("", *PHASES, "Numba"), rows), end="\n\n")
    if given.json is not None:
        write_atomically(given.json, to_json([asdict(start) for start in starts]).encode())


if __name__ == "__main__":
    run(main, "bench.start_up")
