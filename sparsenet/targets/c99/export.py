"""Networks as C99: a folder of source code that needs no framework, no operating system and no heap."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.graph import FloatArray, Graph
from sparsenet.reference import run
from sparsenet.targets.c99.builder import Options
from sparsenet.targets.c99.machine import MACHINES
from sparsenet.targets.c99.make import make_plan
from sparsenet.targets.c99.plan import CPlan
from sparsenet.targets.c99.report import report
from sparsenet.targets.c99.text.build_files import cmake_lists, makefile
from sparsenet.targets.c99.text.header import header
from sparsenet.targets.c99.text.kernels import kernels, weights
from sparsenet.targets.c99.text.literals import is_name
from sparsenet.targets.c99.text.names import Names
from sparsenet.targets.c99.text.source import source
from sparsenet.targets.c99.text.test_program import test_program
from sparsenet.targets.c99.weights import as_stored

#: How many of the largest maps a refusal names.
_NAMED = 4


@dataclass(frozen=True)
class Export:
    """An exported network.

    Attributes:
        name: the prefix of its functions and files.
        plan: what the code was printed from.
        files: names of the files and their text.
    """

    name: str
    plan: CPlan
    files: dict[str, str]

    @property
    def report(self) -> dict[str, Any]:
        """What it takes, as ``report.json`` has it."""
        return report(self.plan, self.name)


def export_c(
    graph: Graph,
    directory: str | os.PathLike[str],
    *,
    name: str = "network",
    values: str = "f32",
    max_ram: int | None = None,
    input: str = "f32",  # noqa: A002
    mean: tuple[float, ...] = (0.0,),
    std: tuple[float, ...] = (255.0,),
    layout: str = "chw",
    target: str = "generic",
    sparse: bool = True,
) -> Export:
    """Write ``graph`` as C99 into ``directory``.

    Args:
        graph: the network.
        directory: a folder, made if it is not there; files of the same names are replaced.
        name: the prefix of functions and files: a C identifier in lower case.
        values: ``f32``, or ``i8``: weights in bytes with a scale for each output channel, as ``save(values="i8")`` has.
        max_ram: the most bytes that the arena may have.
        input: ``f32``, or ``u8``: images in bytes.
        mean, std: what makes numbers of such bytes, ``(byte - mean) / std``; one for all channels, or one for each.
        layout: ``chw`` or ``hwc``, the caller's order of an image's channels, rows and columns.
        target: one of ``machine.MACHINES``: whose instructions are counted where there is a choice.
        sparse: whether zeros among the weights may be left out.

    Raises:
        GraphError: the graph is malformed.
        InputError: an argument has no such value, or the folder cannot be written.
        MemoryLimitError: the arena would have more than ``max_ram`` bytes.
        UnsupportedOpError: there is no C for a node; all of them are named.
    """
    choices = {
        "values": ("f32", "i8"),
        "input": ("f32", "u8"),
        "layout": ("chw", "hwc"),
        "target": tuple(MACHINES),
    }
    for option, given in (("values", values), ("input", input), ("layout", layout), ("target", target)):
        if given not in choices[option]:
            raise InputError(f"{option} must be one of {', '.join(choices[option])}, got {given!r:.40}")
    if not is_name(name):
        raise InputError(
            f"{name!r:.60} cannot be a prefix in C: use lower-case letters, digits and _, at most 31"
        )
    options = Options(MACHINES[target], values, sparse, input == "u8", tuple(mean), tuple(std), layout)
    plan = make_plan(graph, options)
    _require_ram(plan, max_ram)
    names = Names(name, plan)
    files = {
        f"{name}.h": header(names, f"'{graph.name}', exported by sparsenet"),
        f"{name}.c": source(names),
        f"{name}_kernels.h": kernels(names),
        f"{name}_weights.c": weights(names),
        f"{name}_test.c": _test(names, graph),
        "Makefile": makefile(names),
        "CMakeLists.txt": cmake_lists(names),
        "report.json": json.dumps(report(plan, name), indent=1) + "\n",
    }
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (folder / file).write_text(text, encoding="ascii", newline="\n")
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    return Export(name, plan, files)


def _require_ram(plan: CPlan, most: int | None) -> None:
    if most is None or plan.arena_bytes <= most:
        return
    maps = sorted(plan.maps, key=lambda value: -value.buffer_bytes)[:_NAMED]
    largest = ", ".join(f"'{v.tensor}' {v.buffer_bytes} ({v.capacity} of {v.height} rows)" for v in maps)
    raise MemoryLimitError(
        f"the arena would have {plan.arena_bytes} bytes, the limit is {most}; the largest maps: {largest}"
    )


def _test(names: Names, graph: Graph) -> str:
    """The test program; what is expected comes from the reference, in float64, with the weights as they are stored."""
    rng, options = np.random.default_rng(0), names.plan.options
    feeds, given = {}, []
    for port in names.inputs:
        numbers = rng.integers(0, 256, port.shape, np.uint8)
        feeds[port.tensor] = _as_numbers(numbers, options)[None]
        hwc = options.layout == "hwc" and numbers.ndim == 3
        given.append(np.ascontiguousarray(numbers.transpose(1, 2, 0)) if hwc else numbers)
    results = run(as_stored(graph, options.values), feeds)
    return test_program(names, given, [results[port.tensor].astype(np.float32) for port in names.outputs])


def _as_numbers(numbers: npt.NDArray[np.uint8], options: Options) -> FloatArray:
    if not options.u8:
        return numbers.astype(np.float32) / np.float32(256)
    mean, std = (np.asarray(given, np.float64).reshape(-1, 1, 1) for given in (options.mean, options.std))
    return ((numbers - mean) / std).astype(np.float32)
