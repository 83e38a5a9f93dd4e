"""A plan as a list of typed calls: what its tapes say, read back by the arguments that kernels declare.

With the plan's weights it is all that a run needs, so it is also what code in other languages is written from.
"""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparsenet.plan.assemble import Step
from sparsenet.plan.plan import Plan
from sparsenet.plan.ref import Ref, Word
from sparsenet.targets.abi import ARENA, BASE_SHIFT, FIRST_TENSOR, OFFSET_MASK, WEIGHTS
from sparsenet.targets.family import Kind


@dataclass(frozen=True)
class Section:
    """A section of the tapes: calls that rely only on earlier sections, and on earlier calls in the same list.

    Attributes:
        shares: the calls of each thread. All must be done before the next section begins.
        alone: the calls that a thread without help may run instead of all shares; empty where it runs the shares.
    """

    shares: list[list[Step]]
    alone: list[Step]


def sections(plan: Plan) -> list[Section]:
    """Every call of ``plan``: kernels with their arguments by name.

    A pointer is a ``Ref`` into "weights" (``plan.weights``), "arena" (of ``plan.arena_bytes`` and, behind them,
    ``plan.rings``), or, by their index, an "input" or "output" of one image.
    """
    tapes = [_calls(plan, number) for number in range(len(plan.tapes))]
    found, before = [], [0] * len(tapes)
    for ends in plan.ends:
        parts = [tape[start:end] for tape, start, end in zip(tapes, before, ends, strict=True)]
        found.append(Section(parts[: plan.threads], parts[plan.threads] if plan.threads > 1 else []))
        before = ends
    return found


def _calls(plan: Plan, number: int) -> list[Step]:
    rows = plan.tapes[number].tolist()
    steps = zip(rows, plan.kernels[number], plan.layers[number], strict=True)
    return [
        Step(
            kernel,
            {
                argument.name: _word(argument.kind, word, len(plan.inputs))
                for argument, word in zip(kernel.signature, row[1:], strict=False)
            },
            layer,
        )
        for row, kernel, layer in steps
    ]


def _word(kind: Kind, word: int, inputs: int) -> Word:
    if kind == "pointer":
        base, offset = word >> BASE_SHIFT, word & OFFSET_MASK
        if base >= FIRST_TENSOR:
            tensor = base - FIRST_TENSOR
            return Ref("input", tensor, offset) if tensor < inputs else Ref("output", tensor - inputs, offset)
        return Ref({WEIGHTS: "weights", ARENA: "arena"}[base], 0, offset)
    if kind == "number":
        return float(struct.unpack("<f", struct.pack("<i", word))[0])
    return word


def as_text(plan: Plan) -> str:
    """The calls as text for people: one a line, numbers with the fewest digits that identify a float32."""
    return "\n".join(_lines(plan))


def _lines(plan: Plan) -> Iterator[str]:
    for kind, infos in (("input", plan.inputs), ("output", plan.outputs)):
        for number, info in enumerate(infos):
            yield f"{kind}[{number}] = {info.name} {'x'.join(str(size or 'N') for size in info.shape)}"
    yield f"arena = {plan.arena_bytes} bytes, weights = {plan.weights.nbytes} bytes"
    for number, ring in enumerate(plan.rings):
        yield f"ring {number} = arena+{ring.start}, twice the same {ring.size} bytes, of memory from {ring.physical}"
    for number, section in enumerate(sections(plan)):
        names = [f"thread {thread}" for thread in range(plan.threads)]
        for name, calls in zip([*names, "one alone"], [*section.shares, section.alone], strict=True):
            if calls:
                yield f"section {number}, {name}:"
            yield from (f"  {_line(call)}" for call in calls)


def _line(call: Step) -> str:
    arguments = ", ".join(f"{name}={_shown(call.arguments[name])}" for name in call.kernel.arguments)
    return f"{call.kernel.name}({arguments})  # {call.layer}"


def _shown(word: Word) -> str:
    if isinstance(word, Ref):
        tensor = f"[{word.index}]" if word.space in ("input", "output") else ""
        return f"{word.space}{tensor}+{word.offset}"
    return str(np.float32(word)) if isinstance(word, float) else str(word)


def as_records(plan: Plan) -> dict[str, Any]:
    """The calls as plain values for JSON; a float32 as the text of a hexadecimal number, which is exact."""
    return {
        "inputs": [{"name": info.name, "shape": info.shape} for info in plan.inputs],
        "outputs": [{"name": info.name, "shape": info.shape} for info in plan.outputs],
        "arena_bytes": plan.arena_bytes,
        "weight_bytes": plan.weights.nbytes,
        "rings": [dataclasses.asdict(ring) for ring in plan.rings],
        "sections": [
            {
                "shares": [list(map(_record, calls)) for calls in section.shares],
                "alone": list(map(_record, section.alone)),
            }
            for section in sections(plan)
        ],
    }


def _record(call: Step) -> dict[str, Any]:
    arguments = [
        {"name": argument.name, "kind": argument.kind, **_value(call.arguments[argument.name])}
        for argument in call.kernel.signature
    ]
    return {"layer": call.layer, "kernel": call.kernel.name, "arguments": arguments}


def _value(word: Word) -> dict[str, Any]:
    if isinstance(word, Ref):
        return {"space": word.space, "index": word.index, "offset": word.offset}
    return {"value": word.hex() if isinstance(word, float) else word}
