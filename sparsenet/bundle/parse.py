"""From the files of a bundle to a plan, every number checked that a kernel would trust."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sparsenet.bundle.format import CODE, TAPES, WEIGHTS, Bundle
from sparsenet.errors import BundleError
from sparsenet.graph import Partial, TensorInfo
from sparsenet.plan.plan import Decision, Plan, PlannedSegment, PlannedStage
from sparsenet.plan.rings import PAGE, Ring, arena_end
from sparsenet.targets.abi import BASE_SHIFT, OFFSET_MASK, ROW_WORDS
from sparsenet.targets.cpu.runtime import tape
from sparsenet.targets.host import rings_available
from sparsenet.targets.registry import EPILOGUE_ARGUMENTS, FAMILIES, Kernel

Record = TypeVar("Record")


def parse(text: Mapping[str, Any], data: Mapping[str, memoryview]) -> Bundle:
    """The bundle that ``text``, its parsed description, and the bytes of its files hold.

    Raises:
        BundleError: something in it makes no sense; other errors too where ``text`` is not built as it should be.
    """
    kernels, pointers = _kernels(text["kernels"])
    code = _cut_code(text["code"], data[CODE])
    lacking = sorted({*(kernel.name for kernel in kernels), *tape.FUNCTIONS} - code.keys())
    _expect(not lacking, f"there is no code of {lacking[:1]}")
    inputs, outputs = ([_tensor(entry) for entry in text[key]] for key in ("inputs", "outputs"))
    rings = _records(Ring, text["rings"])
    arena_bytes = text["arena_bytes"]
    _expect(type(arena_bytes) is int and 0 <= arena_bytes <= OFFSET_MASK, "arena_bytes")
    _check_rings(rings, arena_bytes)
    layers = text["layers"]
    _expect(all(type(layer) is str for layer in layers), "layers")
    lengths = [len(steps) for steps in text["step_layers"]]
    _expect(len(lengths) not in (0, 2), "the number of tapes")
    words = np.frombuffer(data[TAPES], np.int64).reshape(-1, ROW_WORDS)
    _expect(len(words) == sum(lengths), "the number of steps")
    tapes = [part.copy() for part in np.split(words, np.cumsum(lengths)[:-1])]
    weights = np.frombuffer(data[WEIGHTS], np.uint8)
    spaces = [weights.size, arena_end(arena_bytes, rings)]
    spaces += [4 * prod(int(d) for d in info.shape[1:] if d is not None) for info in [*inputs, *outputs]]
    for table in tapes:
        _check_tape(table, kernels, pointers, spaces)
    _check_ends(text["ends"], lengths)
    counts = text["counts"]
    _expect(type(counts) is int and 0 <= counts <= len(outputs), "counts")
    _check_partial(outputs)
    plan = Plan(
        tapes=tapes,
        kernels=[[kernels[i] for i in table[:, 0].tolist()] for table in tapes],
        layers=[[layers[i] for i in steps] for steps in text["step_layers"]],
        ends=text["ends"],
        weights=weights,
        arena_bytes=arena_bytes,
        rings=rings,
        decisions=_records(Decision, text["decisions"]),
        segments=[_segment(entry) for entry in text["segments"]],
        inputs=inputs,
        outputs=outputs,
        pointers=dict(zip(kernels, pointers, strict=True)),
        counts=counts,
    )
    metadata = text["metadata"]
    _expect(all(type(word) is str for item in metadata.items() for word in item), "metadata")
    _expect(type(text["sparse"]) is bool, "sparse")
    return Bundle(plan, code, text["sparse"], dict(metadata))


def _kernels(entries: Sequence[Mapping[str, Any]]) -> tuple[list[Kernel], list[tuple[int, ...]]]:
    kernels, pointers = [], []
    for entry in entries:
        family, tile, epilogue = entry["family"], tuple(entry["tile"]), tuple(entry["epilogue"])
        if family not in FAMILIES or len(tile) != len(FAMILIES[family].tile):
            raise BundleError(
                f"has kernels of '{str(family)[:60]}', unknown to this version: run `sparsenet compile` again"
            )
        _expect(all(word in EPILOGUE_ARGUMENTS for word in epilogue), f"an epilogue of {family}")
        _expect(all(type(number) is int for number in (entry["lanes"], *tile)), f"a tile of {family}")
        kernel, where = Kernel(family, entry["lanes"], tile, epilogue), tuple(entry["pointers"])
        count = len(kernel.arguments)
        _expect(count < ROW_WORDS and all(i in range(count) for i in where), f"arguments of {family}")
        kernels.append(kernel)
        pointers.append(where)
    _expect(len(set(kernels)) == len(kernels), "a kernel is listed twice")
    return kernels, pointers


def _cut_code(entries: Sequence[tuple[str, int]], data: memoryview) -> dict[str, bytes]:
    code, start = {}, 0
    for name, size in entries:
        _expect(type(size) is int and size > 0 and name not in code, f"the code of {str(name)[:80]}")
        code[name] = bytes(data[start : start + size])
        start += size
    _expect(start == len(data), f"the size of {CODE}")
    return code


def _check_rings(rings: Sequence[Ring], arena_bytes: int) -> None:
    if rings and not rings_available():
        raise BundleError("keeps rows in rings of memory, which this system does not offer: compile it here")
    for ring in rings:
        numbers = (ring.start, ring.size, ring.physical)
        _expect(all(number % PAGE == 0 and 0 <= number <= OFFSET_MASK for number in numbers), "a ring")
        _expect(ring.size > 0 and ring.start >= arena_bytes, "a ring's place")


def _check_tape(
    table: npt.NDArray[np.int64],
    kernels: Sequence[Kernel],
    pointers: Sequence[tuple[int, ...]],
    spaces: Sequence[int],
) -> None:
    """Every kernel number is known, and every pointer stays in the memory it is relative to."""
    numbers = table[:, 0]
    _expect(bool(((numbers >= 0) & (numbers < len(kernels))).all()), "a kernel's number on a tape")
    if not len(table):
        return
    is_pointer = np.zeros((len(kernels), ROW_WORDS), np.bool_)
    for row, where in zip(is_pointer, pointers, strict=True):
        row[[i + 1 for i in where]] = True
    words = table[is_pointer[numbers]]
    bases, offsets = words >> BASE_SHIFT, words & OFFSET_MASK
    _expect(bool(((bases >= 0) & (bases < len(spaces))).all()), "the base of a pointer on a tape")
    _expect(bool((offsets < np.asarray(spaces)[bases]).all()), "a pointer on a tape, outside its memory")


def _check_ends(ends: Sequence[Sequence[int]], lengths: Sequence[int]) -> None:
    """The sections of every tape follow each other to its end."""
    before = [0] * len(lengths)
    for section in ends:
        _expect(len(section) == len(lengths) and all(type(end) is int for end in section), "a section's end")
        _expect(all(a <= b for a, b in zip(before, section, strict=True)), "the order of sections")
        before = list(section)
    _expect(len(ends) > 0 and before == lengths, "the end of the last section")


def _tensor(entry: Mapping[str, Any]) -> TensorInfo:
    name, shape = entry["name"], tuple(entry["shape"])
    _expect(type(name) is str and entry["dtype"] == "float32", "a tensor")
    _expect(
        len(shape) > 0 and shape[0] is None and all(type(d) is int and d > 0 for d in shape[1:]), "a shape"
    )
    partial = entry["partial"]
    return TensorInfo(name, shape, partial=None if partial is None else Partial(**partial))


def _check_partial(outputs: Sequence[TensorInfo]) -> None:
    counts = {info.name for info in outputs if info.shape == (None, 1)}
    for info in outputs:
        if info.partial is not None:
            axis, count = info.partial.axis, info.partial.count
            _expect(type(axis) is int and axis in range(1, len(info.shape)) and count in counts, "a count")


def _segment(entry: Mapping[str, Any]) -> PlannedSegment:
    (segment,) = _records(PlannedSegment, [{**entry, "stages": [], "calls": []}])
    stages = _records(PlannedStage, entry["stages"])
    _expect(all(type(count) is int for count in entry["calls"]), "a segment's calls")
    return dataclasses.replace(segment, stages=stages, calls=list(entry["calls"]))


def _records(kind: Callable[..., Record], entries: Sequence[Mapping[str, Any]]) -> list[Record]:
    """Dataclass records from JSON objects; ``fields`` of a simple type must have values of it."""
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    simple = {field.name: {"str": str, "int": int, "bool": bool}.get(str(field.type)) for field in fields}
    for entry in entries:
        for name, value in entry.items():
            _expect(simple[name] in (None, type(value)), f"'{name}' of a {kind.__name__}")
    return [kind(**entry) for entry in entries]


def _expect(holds: bool, what: str) -> None:
    if not holds:
        raise BundleError(f"is damaged: {what} makes no sense")
