"""One cell of a run, in a process of its own: what a line of ``workflow.smk`` starts.

    python -m training.reproduce.cell maskcnn.prune_network settings.json weights=… method=unstructured … out=…

Values are the function's arguments; an argument that takes several files is named several times.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sparsenet.errors import InputError, SparsenetError
from training.reproduce.settings import Settings

#: What may be run: function by module.
CELLS = (
    "images.collect",
    "maskcnn.train_network",
    "maskcnn.prune_network",
    "students.train_stage",
    "snip.count_weights",
    "snip.train_variant",
    "comparison.train_dense",
    "comparison.train_sparse",
    "int8.prune_and_quantize",
    "tradeoff.train_dense",
    "tradeoff.train_sparse",
    "tradeoff.prune_at_once",
    "latency.measure",
    "report.write",
)


def run_cell(name: str, settings: Settings, arguments: Sequence[str]) -> None:
    """Call the cell's function with ``key=value`` arguments, as paths or text by its annotations.

    Raises:
        InputError: there is no such cell, or it does not take such an argument.
    """
    if name not in CELLS:
        raise InputError(f"unknown cell '{name}': choose one of {', '.join(CELLS)}")
    module, _, function_name = name.partition(".")
    function = getattr(importlib.import_module(f"training.reproduce.{module}"), function_name)
    parameters = inspect.signature(function).parameters
    values: dict[str, Any] = {}
    for argument in arguments:
        key, separator, text = argument.partition("=")
        if not separator or key not in parameters:
            raise InputError(f"cell '{name}' takes no argument '{argument}'")
        kind = str(parameters[key].annotation)
        value = Path(text) if "Path" in kind else text
        if kind.startswith("list"):
            values.setdefault(key, []).append(value)
        else:
            values[key] = value
    function(settings, **values)


def end_with(parent: int, period: float = 0.5) -> None:
    """End this process once ``parent`` is not its parent any more: the next sweep does its work."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(period)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: Sequence[str]) -> int:
    """Run ``NAME SETTINGS KEY=VALUE…``; 2 and one line on standard error if it cannot be done."""
    end_with(int(os.environ.get("SPARSENET_SWEEP", os.getppid())))
    try:
        import torch

        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        run_cell(arguments[0], Settings.load(Path(arguments[1])), arguments[2:])
    except SparsenetError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - the process's own log
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
