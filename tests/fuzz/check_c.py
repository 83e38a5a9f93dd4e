"""What may happen to a model file that is exported to C: a typed error in one line, or C that compiles strictly, reads
and writes nothing but its own memory, and computes what the reference does.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from sparsenet.errors import SparsenetError
from sparsenet.graph import Graph
from sparsenet.io.model_file import deserialize
from sparsenet.reference.oracle import compute
from sparsenet.targets.c99.builder import Options
from sparsenet.targets.c99.export import export_c
from sparsenet.targets.c99.machine import MACHINES
from sparsenet.targets.c99.make import make_plan
from tests.fuzz.check import LARGEST_COMPARED, MismatchError, feeds_of, is_clear, work
from tests.sparsenet.targets.c99.compiled import COMPILER, compile_c, sanitizers

#: Sanitizers reserve more addresses than a worker may.
UNLIMITED = ["prlimit", "--as=unlimited"]
#: Seconds for a network that fits ``work``.
PATIENCE = 60


def check_in_c(data: bytes, run: bool = True) -> str:
    """What happened to a model file, in a word; ``run``: whether a network in it is also compiled and run."""
    random = zlib.crc32(data)
    options: dict[str, Any] = {"values": ("f32", "i8")[random % 2], "sparse": random // 2 % 4 > 0}
    target = sorted(MACHINES)[random // 8 % len(MACHINES)]
    try:
        graph = deserialize(data)[0]
        graph.verify()
        if work(graph) > 1:
            make_plan(graph, Options(MACHINES[target], **options))
            return "planned, too large to run"
        with tempfile.TemporaryDirectory() as name:
            export_c(graph, name, name="net", target=target, **options)
            return (
                _built(graph, Path(name)) if run and COMPILER and shutil.which(UNLIMITED[0]) else "exported"
            )
    except SparsenetError as error:
        is_clear(error)
        return f"refused: {type(error).__name__}"


def _built(graph: Graph, folder: Path) -> str:
    sources = ["net.c", "net_weights.c", "net_test.c", "-lm", "-o", "checked"]
    compile_c(folder, "-O0", *sanitizers(), *sources, before=UNLIMITED)
    done = subprocess.run(
        [*UNLIMITED, str(folder / "checked")], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    if done.returncode == 0 or _is_shaky(graph):
        if done.returncode not in (0, 1) or done.stderr:
            raise MismatchError(f"the program ended with {done.returncode}: {done.stderr[:200]}")
        return "ran" if done.returncode == 0 else "ran, with numbers that change much"
    raise MismatchError(f"{done.stdout.partition(chr(10))[0][:100]} {done.stderr[:200]}")


def _is_shaky(graph: Graph) -> bool:
    """Whether numbers grow beyond what is compared, or a change too small for float32 shows in the results."""
    whole, near = (compute(graph, feeds_of(graph, change), keep="all") for change in (0.0, 1e-6))
    if graph.quantization or not all(
        np.abs(array).max(initial=0) < LARGEST_COMPARED for array in whole.values()
    ):
        return True
    return not all(np.allclose(whole[name], near[name], 1e-4, 1e-4) for name in whole)
