"""Changes to an ONNX model: to any field of any message, and to the bytes of the file."""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import Any

import onnx

from tests.fuzz.numbers import FLOATS, SMALL, change_bytes, integer

OPS = sorted({schema.name for schema in onnx.defs.get_all_schemas() if schema.domain == ""})
WORDS = (
    "",
    "x",
    "y",
    "SAME_UPPER",
    "SAME_LOWER",
    "VALID",
    "nearest",
    "linear",
    "../../etc/passwd",
    "a" * 2000,
    "\x1b[31m",
)


def mutate(data: bytes, mutations: list[int]) -> bytes:
    """``data`` with one change per number; the same numbers always make the same changes."""
    randoms = [Random(number) for number in mutations]
    on_bytes = [random.random() < 0.12 for random in randoms]
    model = onnx.ModelProto.FromString(data)
    for random, late in zip(randoms, on_bytes, strict=True):
        if not late:
            _change_message(model, random)
    try:
        out = model.SerializeToString(deterministic=True)
    except ValueError:  # text that is no UTF-8, or more than 2 GB
        return data
    for random, late in zip(randoms, on_bytes, strict=True):
        if late:
            out = change_bytes(out, random)
    return out


def _messages(message: Any, random: Random) -> list[Any]:
    """Every message inside; nodes and tensors far more often than the rest."""
    found, stack = [], [message]
    while stack:
        current = stack.pop()
        found.append(current)
        for field, value in current.ListFields():
            if field.message_type is not None:
                stack += list(value) if _repeated(field) else [value]
    return found


def _repeated(field: Any) -> bool:
    return bool(field.is_repeated)


def _change_message(model: onnx.ModelProto, random: Random) -> None:
    messages = _messages(model, random)
    weights = [_WEIGHTS.get(type(m).__name__, 1) for m in messages]
    message = random.choices(messages, weights)[0]
    if isinstance(message, onnx.NodeProto) and random.random() < 0.7:
        _change_node(message, model, random)
        return
    fields = list(message.DESCRIPTOR.fields)
    set_already = {field.name for field, _ in message.ListFields()}
    field = random.choice([f for f in fields if f.name in set_already and random.random() < 0.8] or fields)
    if _repeated(field):
        _change_repeated(message, field, random)
    elif field.message_type is not None:
        if random.random() < 0.5:
            message.ClearField(field.name)
        else:
            getattr(message, field.name).SetInParent()
    elif random.random() < 0.1:
        message.ClearField(field.name)
    else:
        _assign(message, field, _scalar(field, getattr(message, field.name), random))


_WEIGHTS = {
    "NodeProto": 6,
    "TensorProto": 3,
    "AttributeProto": 4,
    "Dimension": 3,
    "StringStringEntryProto": 0.2,
}


def _change_node(node: onnx.NodeProto, model: onnx.ModelProto, random: Random) -> None:
    """Changes that may leave a valid network."""
    names = [t.name for t in model.graph.initializer] + [i.name for i in model.graph.input]
    names += [name for other in model.graph.node for name in other.output]
    kind = random.randrange(6)
    if kind == 0:
        node.op_type = random.choice(OPS)
    elif kind == 1 and node.input:
        node.input[random.randrange(len(node.input))] = random.choice(names)
    elif kind == 2 and node.attribute:
        attribute = random.choice(node.attribute)
        if attribute.ints:
            attribute.ints[random.randrange(len(attribute.ints))] = random.choice(SMALL)
        elif attribute.type == onnx.AttributeProto.INT:
            attribute.i = random.choice(SMALL)
        elif attribute.type == onnx.AttributeProto.FLOAT:
            attribute.f = random.choice((0.0, 0.5, -1.0, 2.0))
    elif kind == 3:
        name, value = random.choice(_ATTRIBUTES)
        node.attribute.append(onnx.helper.make_attribute(name, value))
    elif kind == 4 and model.graph.output and node.output:
        new = model.graph.node.add()
        new.CopyFrom(node)
        new.op_type = random.choice(OPS)
        new.name = new.output[0] = f"extra{len(model.graph.node)}"
        new.input[:1] = [random.choice(names)]
        model.graph.output[0].name = new.output[0]
    else:
        node.input.append(random.choice(names))


_ATTRIBUTES: tuple[tuple[str, Any], ...] = (
    ("auto_pad", "SAME_UPPER"), ("auto_pad", "SAME_LOWER"), ("auto_pad", "VALID"), ("pads", [1, 0, 2, 1]),
    ("strides", [2, 3]), ("dilations", [2, 1]), ("group", 2), ("axis", 1), ("axis", -1), ("axes", [1]),
    ("axes", [2, 3]), ("keepdims", 0), ("perm", [0, 2, 3, 1]), ("ceil_mode", 1), ("count_include_pad", 1),
    ("transB", 1), ("alpha", 0.5), ("kernel_shape", [2, 2]), ("mode", "linear"), ("to", 7), ("blocksize", 2),
    ("split", [1, 2]), ("allowzero", 1),
)  # fmt: skip


def _change_repeated(message: Any, field: Any, random: Random) -> None:
    values = getattr(message, field.name)
    kind, count = random.randrange(5), len(values)
    if kind == 0 and count:
        del values[random.randrange(count)]
    elif kind == 1 and count:  # doubled
        at = random.randrange(count)
        if field.message_type is not None:
            values.add().CopyFrom(values[at])
        else:
            values.append(values[at])
    elif kind == 2 and count > 1:  # two of them swapped
        a, b = random.sample(range(count), 2)
        if field.message_type is not None:
            kept = type(values[a])()
            kept.CopyFrom(values[a])
            values[a].CopyFrom(values[b])
            values[b].CopyFrom(kept)
        else:
            values[a], values[b] = values[b], values[a]
    elif field.message_type is not None:
        values.add()
    else:
        at = random.randrange(count) if count else None
        value = _scalar(field, values[at] if at is not None else None, random)
        with suppress(ValueError, TypeError):  # a number that the field cannot hold
            if at is None:
                values.append(value)
            else:
                values[at] = value


def _assign(message: Any, field: Any, value: Any) -> None:
    with suppress(ValueError, TypeError):  # a number that the field cannot hold
        setattr(message, field.name, value)


def _scalar(field: Any, old: Any, random: Random) -> Any:
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return random.choice((*FLOATS[:8], float("nan"), float("inf")))
    if field.type == field.TYPE_STRING:
        return random.choice((*WORDS, *OPS))
    if field.type == field.TYPE_BYTES:
        return change_bytes(old or b"", random)
    return integer(random, old or 0)
