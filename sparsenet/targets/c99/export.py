"""Networks as C99: a folder of source code that needs no framework, no operating system and no heap."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsenet.checks import one_of, path_of
from sparsenet.errors import InputError, MemoryLimitError
from sparsenet.graph import FloatArray, Graph
from sparsenet.graph.partial import whole_counts
from sparsenet.io.files import read_whole, require_output_folder, write_output
from sparsenet.io.metadata import meaning, normalisation
from sparsenet.reference.oracle import compute
from sparsenet.targets.c99.builder import Options
from sparsenet.targets.c99.machine import MACHINES
from sparsenet.targets.c99.make import make_plan
from sparsenet.targets.c99.plan import CPlan
from sparsenet.targets.c99.report import report
from sparsenet.targets.c99.text.build_files import cmake_lists, makefile
from sparsenet.targets.c99.text.header import header
from sparsenet.targets.c99.text.kernels import kernels, weights
from sparsenet.targets.c99.text.names import Names
from sparsenet.targets.c99.text.project_files import PROJECTS, project_files
from sparsenet.targets.c99.text.source import source
from sparsenet.targets.c99.text.test_program import test_program
from sparsenet.targets.c99.weights import as_stored
from sparsenet.text.c_names import network_name

#: The file that tells a folder that was exported to before, and the most bytes that it has.
_REPORT, _MOST_REPORT = "report.json", 2**26
#: How many of the largest maps a refusal names.
_NAMED = 4
#: Ops whose results jump where their inputs hardly change, and how often an input for the test program is sought for
#: which none does if its numbers are changed by so much of themselves.
_JUMPING = frozenset(
    "top_k nms nonzero gather_elements gather_nd argmax greater less equal floor round".split()  # noqa: SIM905
)
_TRIES, _NOISE = 8, np.float32(2.0**-20)


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
    name: str | None = None,
    values: str = "f32",
    max_ram: int | None = None,
    input: str = "f32",  # noqa: A002
    mean: tuple[float, ...] | None = None,
    std: tuple[float, ...] | None = None,
    layout: str = "chw",
    target: str = "generic",
    sparse: bool = True,
    project: str | None = None,
) -> Export:
    """Write ``graph`` as C99 into ``directory``.

    Args:
        graph: the network.
        directory: a folder, made if it is not there; what was exported to it before is replaced.
        name: the prefix of functions and files: a C identifier in lower case; by default the folder's name.
        values: ``f32``, or ``i8``: weights in bytes with a scale for each output channel, as ``save(values="i8")`` has.
        max_ram: the most bytes that the arena may have.
        input: ``f32``, or ``u8``: images in bytes.
        mean, std: what makes numbers of such bytes, ``(byte - mean) / std``; one for all channels, or one for each. By
            default what the model says, else 127.5 and 127.5: from -1 to 1, as ``sparsenet run`` takes images.
        layout: ``chw`` or ``hwc``, the caller's order of an image's channels, rows and columns.
        target: one of ``machine.MACHINES``: whose instructions are counted where there is a choice.
        sparse: whether zeros among the weights may be left out.
        project: one of ``project_files.PROJECTS``, whose own files are written, too.

    Raises:
        GraphError: the graph is malformed.
        InputError: an argument has no such value, or the folder cannot be written or holds such files of others.
        MemoryLimitError: the arena would have more than ``max_ram`` bytes.
        UnsupportedOpError: there is no C for a node; all of them are named.
    """
    choices = {
        "values": (values, ("f32", "i8")),
        "input": (input, ("f32", "u8")),
        "layout": (layout, ("chw", "hwc")),
        "target": (target, tuple(MACHINES)),
        **({} if project is None else {"project": (project, tuple(PROJECTS))}),
    }
    for option, (given, known) in choices.items():
        one_of(given, option, known)
    folder = path_of(directory, "directory")
    name = network_name(name, folder)
    require_output_folder(folder)
    if input != "u8" and (mean, std) != (None, None):
        raise InputError("mean and std are those of bytes: they go with input 'u8'")
    mean, std = _normalisation(graph, mean, std)
    options = Options(MACHINES[target], values, sparse, input == "u8", mean, std, layout)
    plan = make_plan(graph, options)
    _require_ram(plan, max_ram)
    names = Names(name, plan)
    files = {  # the report first: where writing fails, the rest can be written again
        _REPORT: json.dumps(report(plan, name), indent=1) + "\n",
        f"{name}.h": header(names, f"'{graph.name}', exported by sparsenet", _notes(graph, options)),
        f"{name}.c": source(names),
        f"{name}_kernels.h": kernels(names),
        f"{name}_weights.c": weights(names),
        f"{name}_test.c": _test(names, graph),
        "Makefile": makefile(names),
        "CMakeLists.txt": cmake_lists(names),
        **(project_files(names, project) if project else {}),
    }
    _require_place(folder, files)
    try:
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from None
    for file, text in files.items():
        write_output(folder / file, text.encode("ascii"))
    return Export(name, plan, files)


def _require_place(folder: Path, files: Iterable[str]) -> None:
    """Raise InputError if the folder holds such files that are no older export's."""
    if not _is_export(folder / _REPORT):
        for file in files:
            if os.path.lexists(folder / file):
                raise InputError(
                    f"{folder}: holds '{file}' already, of something else; choose another folder"
                )


def _is_export(file: Path) -> bool:
    """Whether ``file`` is the report of an export."""
    try:
        found = json.loads(read_whole(file, _MOST_REPORT))
    except (OSError, ValueError, RecursionError, MemoryLimitError):
        return False
    return isinstance(found, dict) and found.keys() >= {"ram", "flash"}


def _normalisation(
    graph: Graph, mean: tuple[float, ...] | None, std: tuple[float, ...] | None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation of bytes, as given or as the model says."""
    said = {"mean", "std"} & graph.metadata.keys()
    of_model = normalisation(graph.metadata) if said else (np.full(1, 0.5), np.full(1, 0.5))
    found = [
        tuple(255 * number for number in array.tolist()) if given is None else tuple(given)
        for given, array in zip((mean, std), of_model, strict=True)
    ]
    return found[0], found[1]


def _notes(graph: Graph, options: Options) -> list[str]:
    """What the header says of the meaning of the numbers."""
    if not options.u8:
        return meaning(graph.metadata)
    mean, std = (", ".join(f"{number:g}" for number in part) for part in (options.mean, options.std))
    of_bytes = f"Images are bytes, which stand for (byte - mean) / std: mean {mean}; std {std}."
    return [of_bytes, *meaning(graph.metadata, of_images=False)]


def _require_ram(plan: CPlan, most: int | None) -> None:
    if most is None or plan.arena_bytes <= most:
        return
    maps = sorted(plan.maps, key=lambda value: -value.buffer_bytes)[:_NAMED]
    largest = ", ".join(f"'{v.tensor}' {v.buffer_bytes} ({v.capacity} of {v.height} rows)" for v in maps)
    raise MemoryLimitError(
        f"the arena would have {plan.arena_bytes} bytes, the limit is {most}; the largest maps: {largest}; "
        "smaller images, and networks in 8 bits, take less"
    )


def _test(names: Names, graph: Graph) -> str:
    """The test program; what is expected comes from the reference, in float64, with the weights as they are stored."""
    options, stored = names.plan.options, as_stored(graph, names.plan.options.values)
    numbers, results = _settled(names, stored)
    given = []
    for port, array in zip(names.inputs, numbers, strict=True):
        hwc = options.layout == "hwc" and port.is_image
        given.append(array.reshape(port.image).transpose(1, 2, 0) if hwc else array)
    expected = [results[port.tensor] for port in names.outputs]
    counts = [int(whole_counts(results[count.tensor], count.most)[0]) for count in names.plan.counts]
    return test_program(names, given, expected, counts)


def _settled(names: Names, graph: Graph) -> tuple[list[npt.NDArray[np.uint8]], dict[str, FloatArray]]:
    """Random inputs, and the results: such that stay when inputs change as little as sums in another order do, if the
    network has ops that choose, and some are found.
    """
    keep = [count.tensor for count in names.plan.counts]
    chooses = any(node.op in _JUMPING for node in graph.nodes)
    for seed in range(_TRIES if chooses else 1):
        rng = np.random.default_rng(seed)
        numbers = [rng.integers(0, 256, port.shape, np.uint8) for port in names.inputs]
        feeds = {
            port.tensor: _as_numbers(array, names.plan.options)[None]
            for port, array in zip(names.inputs, numbers, strict=True)
        }
        results = compute(graph, feeds, keep)
        if not chooses:
            break
        near = {name: x + _NOISE * x * rng.standard_normal(x.shape, np.float32) for name, x in feeds.items()}
        others = compute(graph, near, keep)
        if all(np.allclose(results[name], others[name], 1e-3, 1e-3, equal_nan=True) for name in results):
            break
    return numbers, results


def _as_numbers(numbers: npt.NDArray[np.uint8], options: Options) -> FloatArray:
    if not options.u8:
        return numbers.astype(np.float32) / np.float32(256)
    return options.numbers(numbers)
