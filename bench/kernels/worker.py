"""Times kernels at one vector length in a process of its own; a line of JSON for every event.

python -m bench.kernels.worker '{"lanes": 16, "quick": true, ...}'
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.kernels.cases import Case, cases
from bench.kernels.rates import Rate, rates
from sparsenet.errors import SparsenetError
from sparsenet.targets.cpu.runtime.host import host_features

#: The newest x86 that has no AVX-512, in LLVM's spelling.
AVX2_CPU = "haswell"


@dataclass(frozen=True)
class Request:
    """What a worker is asked for; see ``rates`` and ``cases``."""

    lanes: int
    quick: bool
    families: tuple[str, ...]
    rounds: int
    seconds: float
    tune: bool


def environment(lanes: int) -> dict[str, str]:
    """Variables that make a process compile for vectors of ``lanes`` float32, as a CPU with no longer ones would."""
    changed = {"SPARSENET_LANES": str(lanes), "OMP_NUM_THREADS": "1"}
    if lanes < 16 and "avx512f" in host_features():
        features = sorted(name for name in host_features() if not name.startswith("avx512"))
        changed["NUMBA_CPU_FEATURES"] = ",".join(f"+{name}" for name in features)
        changed["NUMBA_CPU_NAME"] = AVX2_CPU
    return changed


def run(request: Request, began: Callable[[str], object]) -> list[Rate]:
    """All rates that a worker measures.

    Args:
        began: called with the name of every case as it begins.

    Raises:
        SparsenetError: the worker failed, with its last words.
    """
    command = [sys.executable, "-m", "bench.kernels.worker", json.dumps(asdict(request))]
    variables = {**os.environ, **environment(request.lanes)}
    found, words = list[Rate](), [""]
    root = Path(__file__).resolve().parents[2]
    with subprocess.Popen(  # noqa: S603 - this interpreter, this module
        command, env=variables, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as worker:
        assert worker.stdout is not None
        for line in worker.stdout:
            if not line.startswith('{"'):
                words.append(line.strip())
                continue
            event = json.loads(line)
            if "error" in event:
                raise SparsenetError(event["error"])
            if "rate" in event:
                found.append(Rate(**event["rate"]))
            else:
                began(event["case"])
    if worker.returncode:
        raise SparsenetError(f"the worker for {request.lanes} lanes failed: {words[-1]}")
    return found


def _tell(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def main(argument: str) -> None:
    """Measure what ``argument``, a ``Request`` as JSON, asks for, and tell every event."""
    values = json.loads(argument)
    request = Request(**{**values, "families": tuple(values["families"])})

    def began(case: Case) -> None:
        _tell({"case": f"{case.family} {case.layer.name}"})

    try:
        todo = cases(request.quick, request.families)
        for rate in rates(todo, request.lanes, request.rounds, request.seconds, request.tune, began):
            _tell({"rate": asdict(rate)})
    except SparsenetError as error:
        _tell({"error": str(error)})


if __name__ == "__main__":
    main(sys.argv[1])
