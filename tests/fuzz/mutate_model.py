"""Changes to a model file, from those that leave a valid network to those that leave no file at all."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import Any

import numpy as np

from sparsenet.graph.ops import ACTIVATIONS, OPS, REQUIRED
from sparsenet.graph.ops.images import PAD_MODES
from sparsenet.graph.ops.reductions import REDUCTIONS
from tests.fuzz.numbers import FLOATS, change_bytes, integer
from tests.fuzz.safetensors_parts import SIZES, Parts

WORDS = (
    "", "conv2d", "concat", "relu", "csr_u32_u32", "csr_u16_u16", "bitmask", "dense", "i8", "f16", "f32", "nearest",
    "bilinear", "align_corners", "\x1b[31m", "\ud800", "x" * 2000, "image", "__metadata__",
)  # fmt: skip
EPILOGUES: tuple[list[Any], ...] = (
    [], [["relu"]], [["clip", 0, 6]], [["clip", 6, 0]], [["affine"]], [["add"]], [["affine"], ["add"], ["relu"]],
    [["relu"]] * 30, [["add"]] * 9, [["exec"]], [[]], ["relu"],
)  # fmt: skip


def mutate(data: bytes, mutations: list[int]) -> bytes:
    """``data`` with one change per number; the same numbers always make the same changes."""
    return _mutated(data, mutations, STRUCTURAL)


def mutate_quantized(data: bytes, mutations: list[int]) -> bytes:
    """The same for a file with quantized tensors: half of the changes are to their grids."""
    return _mutated(data, mutations, STRUCTURAL + [_change_grid] * len(STRUCTURAL))


def _mutated(data: bytes, mutations: list[int], structural: list[Callable[[Parts, Random], None]]) -> bytes:
    randoms = [Random(number) for number in mutations]
    levels = [random.choices((0, 1, 2), (94, 3, 3))[0] for random in randoms]
    parts = Parts.of(data)
    for random, level in zip(randoms, levels, strict=True):
        if level == 0:
            with suppress(RecursionError):  # what is too deep to be copied stays as it is
                random.choice(structural)(parts, random)
    try:
        header = parts.header(seal=True)
        for random, level in zip(randoms, levels, strict=True):
            if level == 1:
                _change_json(header, random)
        out = parts.join(header)
    except (RecursionError, ValueError):  # and what cannot be written, being inside itself, is no case
        return data
    for random, level in zip(randoms, levels, strict=True):
        if level == 2:
            out = change_bytes(out, random)
    return out


# --- any JSON -------------------------------------------------------------------------------------------------


def _change_json(document: Any, random: Random) -> None:
    """Replace, remove, double or swap one value somewhere inside."""
    places = _places(document)
    if not places:
        return
    parent, key = random.choice(places)
    kind = random.random()
    if kind < 0.7:
        parent[key] = _evil(parent[key], random)
    elif kind < 0.8:
        del parent[key]
    elif kind < 0.9 and isinstance(parent, list):
        parent.insert(key, copy.deepcopy(parent[key]))
    else:
        other, at = random.choice(places)
        if isinstance(other, list | dict):
            other[at] = copy.deepcopy(parent[key])


def _places(document: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    stack = [document]
    while stack:
        parent = stack.pop()
        children = (
            parent.items()
            if isinstance(parent, dict)
            else enumerate(parent)
            if isinstance(parent, list)
            else ()
        )
        for key, child in children:
            found.append((parent, key))
            stack.append(child)
    return found


def _evil(old: Any, random: Random) -> Any:
    if isinstance(old, int) and not isinstance(old, bool) and random.random() < 0.8:
        return integer(random, old)
    if isinstance(old, float) and random.random() < 0.7:
        return random.choice(FLOATS)
    kind = random.randrange(6)
    if kind == 0:
        return random.choice((None, True, False))
    if kind == 1:
        return integer(random)
    if kind == 2:
        return random.choice(FLOATS)
    if kind == 3:
        return random.choice(WORDS)
    if kind == 4:
        return [integer(random) for _ in range(random.randrange(6))]
    # A copy: later changes to a file must not reach other files.
    return copy.deepcopy(random.choice(([], {}, [[]], {"": 1}, *EPILOGUES)))


# --- what a model file consists of ----------------------------------------------------------------------------


def _any_json(parts: Parts, random: Random) -> None:
    _change_json(parts.graph, random)


def _node(parts: Parts, random: Random) -> list[Any] | None:
    nodes = [n for n in _list(parts.graph, "nodes") if isinstance(n, list) and len(n) >= 3]
    return random.choice(nodes) if nodes else None


def _list(graph: Any, key: str) -> list[Any]:
    value = graph.get(key) if isinstance(graph, dict) else None
    return value if isinstance(value, list) else []


def _tensor_count(parts: Parts) -> int:
    return sum(len(_list(parts.graph, key)) for key in ("inputs", "constants", "nodes"))


def _change_attribute(parts: Parts, random: Random) -> None:
    node = _node(parts, random)
    schema = OPS.get(node[0]) if node and isinstance(node[0], str) else None
    if node is None or schema is None:
        return
    names = [*schema.attrs, *(["epilogue"] if schema.epilogue else [])]
    if names:
        if len(node) < 4 or not isinstance(node[3], dict):
            node[3:4] = [{}]
        name = random.choice(names)
        value = _attribute(name, schema.defaults.get(name), random)
        old = node[3].get(name, schema.defaults.get(name))
        if isinstance(old, list) and isinstance(value, list) and old and random.random() < 0.7:
            at = random.randrange(len(old))  # just one of its numbers
            value = [*old[:at], *value[at : at + 1], *old[at + 1 :]]
        node[3][name] = value


def _attribute(name: str, default: Any, random: Random) -> Any:
    """A value that may well be valid: the shape of the usual one, its numbers small or at a boundary."""
    if random.random() < 0.1:
        return _evil(default, random)
    small = random.random() < 0.8

    def number() -> int:
        return random.choice((0, 1, 1, 2, 2, 3, 4, 5, 7)) if small else integer(random)

    if name == "epilogue":
        return copy.deepcopy(random.choice(EPILOGUES))
    if name == "padding":
        return [number() for _ in range(4)]
    if name in ("stride", "dilation", "kernel", "size"):
        return [max(1, number()) if small else number() for _ in range(2)]
    if name == "shape":
        return [random.choice((-1, 1, 2, 3, 4, 8, number())) for _ in range(random.randrange(1, 5))]
    if name == "perm":
        return [0, *random.sample(range(1, 4), 3)] if small else [number() for _ in range(4)]
    if name in ("axes", "indices"):
        return [number() for _ in range(random.randrange(1, 4))]
    if name == "kind":
        return random.choice((*REDUCTIONS, "median"))
    if name == "mode":
        return random.choice(("nearest", "bilinear", *PAD_MODES))
    if isinstance(default, bool):
        return random.random() < 0.5
    if isinstance(default, str):
        return random.choice(WORDS)
    if isinstance(default, float) or name in ("slope", "alpha", "min", "max", "eps", "value", "p"):
        return random.choice(FLOATS)
    return number()


def _rewire(parts: Parts, random: Random) -> None:
    """Another input of some node, or one more or less; mostly a tensor that exists."""
    node = _node(parts, random)
    if node is None or not isinstance(node[2], list):
        return
    count = _tensor_count(parts)
    number = random.randrange(count) if random.random() < 0.8 and count else integer(random, count)
    kind = random.randrange(4)
    if kind == 0 or not node[2]:
        node[2].append(number)
    elif kind == 1:
        node[2].pop(random.randrange(len(node[2])))
    else:
        node[2][random.randrange(len(node[2]))] = number


def _append_node(parts: Parts, random: Random) -> None:
    """One more node at the end, over what is there; its result becomes an output."""
    nodes, outputs = _list(parts.graph, "nodes"), _list(parts.graph, "outputs")
    count = _tensor_count(parts)
    if not count:
        return
    op = random.choice(sorted(OPS))
    schema = OPS[op]
    wanted = random.randrange(1, 4) if schema.variadic else len(schema.inputs)
    inputs = [
        random.choice((count - 1, random.randrange(count))) if i == 0 else _constant(parts, random)
        for i in range(wanted)
    ]
    attrs = {
        name: _attribute(name, default, random)
        for name, default in schema.defaults.items()
        if default is REQUIRED or random.random() < 0.3
    }
    nodes.append([op, f"extra{len(nodes)}", inputs, attrs])
    number = _tensor_count(parts) - 1
    if outputs and random.random() < 0.6:
        outputs[random.randrange(len(outputs))] = number
    else:
        outputs.append(number)


def _constant(parts: Parts, random: Random) -> int:
    inputs, constants = _list(parts.graph, "inputs"), _list(parts.graph, "constants")
    if random.random() < 0.4 or not constants:
        return random.randrange(_tensor_count(parts))
    return len(inputs) + random.randrange(len(constants))


def _change_op(parts: Parts, random: Random) -> None:
    node = _node(parts, random)
    if node is not None:
        node[0] = random.choice([*sorted(OPS), *ACTIVATIONS])


def _change_outputs(parts: Parts, random: Random) -> None:
    outputs, count = _list(parts.graph, "outputs"), _tensor_count(parts)
    if count:
        outputs.insert(random.randrange(len(outputs) + 1), random.randrange(count))


def _change_shape(parts: Parts, random: Random) -> None:
    """Of an input, or of a constant whose data then does not fit, or does: two sizes swapped."""
    entries = [
        entry
        for key in ("inputs", "inputs", "constants")
        for entry in _list(parts.graph, key)
        if isinstance(entry, list) and len(entry) > 1 and isinstance(entry[1], list)
    ]
    if not entries:
        return
    shape = random.choice(entries)[1]
    kind = random.randrange(4)
    if kind == 0 or not shape:
        shape.append(integer(random))
    elif kind == 1:
        shape[random.randrange(len(shape))] = integer(random)
    elif kind == 2:
        random.shuffle(shape)
    else:
        at = random.randrange(len(shape))
        if isinstance(shape[at], int):
            shape[at] = max(1, shape[at] + random.choice((-3, -2, -1, 1, 2, 3, 9, 30)))


def _change_encoding(parts: Parts, random: Random) -> None:
    constants = [c for c in _list(parts.graph, "constants") if isinstance(c, list) and len(c) >= 2]
    if constants:
        constant = random.choice(constants)
        constant[2:] = [random.choice(("dense", "bitmask", *WORDS[4:8])), random.choice(("f32", "f16", "i8"))]


def _change_grid(parts: Parts, random: Random) -> None:
    """Of a computed tensor, or of a constant: another scale, zero point, tensor or kind, one more or less."""
    if not isinstance(parts.graph, dict):
        return
    grids = _list(parts.graph, "quantization")
    constants = [c for c in _list(parts.graph, "constants") if isinstance(c, list) and len(c) == 4]
    kind = random.randrange(7)
    if kind == 0 and constants:
        random.choice(constants)[3] = random.choice(("i8_row", "i8_tensor", "i8", "f32"))
    elif kind == 1 and "scales_f32" in parts.tensors:
        raw = bytearray(parts.tensors["scales_f32"][1])
        at = random.randrange(max(1, len(raw) // 4)) * 4
        with np.errstate(over="ignore"):
            raw[at : at + 4] = np.float32(random.choice((*FLOATS, np.nan, np.inf, 1.2e-38, 8e37))).tobytes()
        parts.tensors["scales_f32"][1] = bytes(raw)
    elif kind == 2 or not grids:
        grids.append([random.randrange(max(1, _tensor_count(parts))), random.choice(FLOATS), integer(random)])
        parts.graph["quantization"] = grids
    elif kind == 3:
        del grids[random.randrange(len(grids))]
    else:
        grid = random.choice(grids)
        if isinstance(grid, list) and grid:
            at = random.randrange(min(3, len(grid)))
            near = grid[at] if isinstance(grid[at], int) else 0
            value = random.choice((*FLOATS, 1.2e-38, 8e37)) if at == 1 else integer(random, near)
            grid[at : at + 1] = [value] if random.random() < 0.9 else []


def _change_numbers(parts: Parts, random: Random) -> None:
    """Values, offsets, columns, scales or bits: some elements of a pool."""
    if not parts.tensors:
        return
    tensor = parts.tensors[random.choice(sorted(parts.tensors))]
    raw, size = bytearray(tensor[1]), SIZES[tensor[0]]
    for _ in range(random.choice((1, 1, 2, 4))):
        at = random.randrange(max(1, len(raw) // size)) * size
        if tensor[0] == "F32" and random.random() < 0.8:
            with np.errstate(over="ignore"):
                word = np.float32(random.choice(FLOATS)).tobytes()
        else:
            word = (integer(random) % 2 ** (8 * size)).to_bytes(size, "little")
        raw[at : at + size] = word
    tensor[1] = bytes(raw)


def _change_pool(parts: Parts, random: Random) -> None:
    """A pool longer, shorter, of another dtype or name, gone or there twice."""
    name = random.choice([*sorted(parts.tensors), "values_f32"])
    dtype, raw = parts.tensors.get(name, ["F32", b""])
    kind = random.randrange(6)
    if kind == 0:
        parts.tensors[name] = [dtype, raw + bytes(SIZES[dtype]) * random.choice((1, 2, 9))]
    elif kind == 1:
        parts.tensors[name] = [dtype, raw[: -SIZES[dtype] * random.choice((1, 2, 5))]]
    elif kind == 2:
        parts.tensors[name] = [random.choice(sorted(SIZES)), raw]
    elif kind == 3:
        parts.tensors.pop(name, None)
    elif kind == 4:
        parts.tensors[random.choice((*WORDS, "scales", "bitmasks", "indices_u16", "indices_u32"))] = [
            dtype,
            raw,
        ]
    else:
        parts.tensors[name] = [dtype, change_bytes(raw, random)]


def _change_metadata(parts: Parts, random: Random) -> None:
    key = random.choice(("format", "format_version", "sha256", "graph", "more"))
    if random.random() < 0.3:
        parts.metadata.pop(key, None)
    else:
        parts.metadata[key] = random.choice((*WORDS, "2", "-1", "9" * 30, "1.0", "٣", 1, None, []))


def _nest(parts: Parts, random: Random) -> None:
    """JSON so deep that a recursive reader falls over, or lists so long that a quadratic one never ends."""
    if not isinstance(parts.graph, dict):
        return
    deep: Any = []
    for _ in range(random.choice((10, 900))):
        deep = [deep]
    choice = random.randrange(3)
    if choice == 0:
        parts.graph["metadata"] = {"a": deep}
    elif choice == 1:
        parts.graph["outputs"] = _list(parts.graph, "outputs") * random.choice((2, 500))
    else:
        number = _tensor_count(parts) - 1
        for i in range(random.choice((3, 40))):
            _list(parts.graph, "nodes").append(["relu", f"chain{i}", [number + i]])
        parts.graph["outputs"] = [_tensor_count(parts) - 1]


STRUCTURAL: list[Callable[[Parts, Random], None]] = [
    *[_any_json] * 3,
    *[_change_attribute] * 12,
    *[_rewire] * 3,
    *[_append_node] * 12,
    _change_op,
    *[_change_outputs] * 2,
    *[_change_shape] * 6,
    _change_encoding,
    *[_change_numbers] * 4,
    _change_pool,
    _change_metadata,
    _nest,
]


def describe(data: bytes) -> str:
    """The graph in a model file as text, for people; the raw header where there is none."""
    try:
        return json.dumps(Parts.of(data).graph)[:2000]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return repr(data[:300])
