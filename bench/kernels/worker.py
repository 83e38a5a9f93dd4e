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
from bench.measure.older_cpu import environment
from sparsenet.errors import SparsenetError


@dataclass(frozen=True)
class Request:
    """What a worker is asked for; see ``rates`` and ``cases``."""

    lanes: int
    quick: bool
    families: tuple[str, ...]
    rounds: int
    seconds: float
    tune: bool


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
