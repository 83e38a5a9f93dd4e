"""The table of operations: for each, its inputs, attributes and shape rule.

Whatever reads graphs (reference backend, planner, importers, model file) is written against this table. Symbols:
``N`` batch (``None`` in shapes), ``C`` channels, ``H W`` rows and columns, ``F`` features. Layout of image tensors is
NCHW. To add an op: one entry here, one file in ``reference/``, one stage in ``plan/``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sparsenet.errors import GraphError
from sparsenet.graph.node import Node
from sparsenet.graph.ops import image_rules, shape_rules
from sparsenet.graph.ops.shape_rules import Attrs, Shapes
from sparsenet.graph.types import FloatArray, Shape

#: Activation words an epilogue may hold (also ops of their own), with the parameters each takes.
ACTIVATIONS: dict[str, tuple[str, ...]] = {
    "relu": (),
    "leaky_relu": ("slope",),
    "clip": ("min", "max"),
    "sigmoid": (),
    "tanh": (),
    "silu": (),
    "hard_sigmoid": (),  # clip(x / 6 + 1/2, 0, 1), as in PyTorch
    "hard_swish": (),  # x * hard_sigmoid(x)
    "elu": ("alpha",),  # x where x >= 0, alpha * (exp(x) - 1) elsewhere
    "gelu": (),  # x * (1 + erf(x / sqrt(2))) / 2
    "softplus": (),  # log(1 + exp(x))
    "erf": (),
    "exp": (),
    "log": (),
    "sqrt": (),
    "abs": (),
    "floor": (),
    "round": (),  # halves to the even neighbour
    "reciprocal": (),
}
#: Epilogue words that read tensors, with how many.
EPILOGUE_TENSORS = {"affine": 2, "add": 1}
#: Words an epilogue may have, and numbers and addresses that they read: each kernel is compiled for its epilogue, and
#: all its arguments stand in one row of the tape.
MAX_EPILOGUE_WORDS, MAX_EPILOGUE_ARGUMENTS = 8, 10
_EPILOGUE_ARGUMENTS = {"affine": 2, "add": 3, **{word: len(names) for word, names in ACTIVATIONS.items()}}
#: Inputs that must be constants, whatever the op.
_CONSTANT_INPUTS = frozenset({"weight", "bias", "scale", "shift", "mean", "var"})
_LARGEST_FLOAT32 = 3.4028234663852886e38


@dataclass(frozen=True)
class OpSchema:
    """What a node of this op looks like.

    Attributes:
        inputs: names of the op's own inputs; a trailing ``?`` marks an optional one (empty string in the node).
        attrs: attribute name → default; ``REQUIRED`` where there is none.
        infer: ``(input shapes, attrs with defaults) -> output shape``; raises ``ValueError`` with the reason.
        epilogue: whether the op may carry a fused epilogue.
    """

    inputs: tuple[str, ...]
    infer: Callable[[Shapes, Attrs], Shape]
    attrs: Mapping[str, Any] = field(default_factory=dict)
    epilogue: bool = False
    variadic: bool = False


class _Required:
    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED = _Required()


def attributes(node: Node) -> dict[str, Any]:
    """The node's attributes with the schema's defaults filled in."""
    return {**OPS[node.op].attrs, **node.attrs}


def split_inputs(node: Node) -> tuple[list[str], list[str]]:
    """The node's own inputs (optional ones padded with ``""``), and the tensors its epilogue reads."""
    taken = sum(EPILOGUE_TENSORS.get(step[0], 0) for step in node.epilogue)
    own = node.inputs[: len(node.inputs) - taken] if taken else list(node.inputs)
    schema = OPS[node.op]
    if not schema.variadic:
        own = own + [""] * (len(schema.inputs) - len(own))
    return own, node.inputs[len(node.inputs) - taken :] if taken else []


def epilogue_fits(steps: Sequence[Sequence[Any]]) -> bool:
    """Whether an epilogue of these known words is short enough for a kernel."""
    arguments = sum(_EPILOGUE_ARGUMENTS[step[0]] for step in steps)
    return len(steps) <= MAX_EPILOGUE_WORDS and arguments <= MAX_EPILOGUE_ARGUMENTS


def check_node(node: Node) -> None:
    """Raise GraphError unless op, attribute names, input count and epilogue of ``node`` follow the table."""
    where = f"node '{node.name}'"
    schema = OPS.get(node.op)
    if schema is None:
        raise GraphError(f"{where} has unknown op '{node.op}'; sparsenet.graph.ops.OPS lists those there are")
    if len(node.outputs) != 1:
        raise GraphError(f"{where} ({node.op}) has {len(node.outputs)} outputs, expected 1")
    known = set(schema.attrs) | ({"epilogue"} if schema.epilogue else set())
    for name in node.attrs:
        if name not in known:
            raise GraphError(
                f"{where} ({node.op}) has unknown attribute '{name}'; known: {', '.join(sorted(known))}"
            )
    for name, default in schema.attrs.items():
        if default is REQUIRED and name not in node.attrs:
            raise GraphError(f"{where} ({node.op}) lacks the attribute '{name}'")
    for step in node.epilogue:
        if not isinstance(step, list) or not step or step[0] not in (*ACTIVATIONS, *EPILOGUE_TENSORS):
            raise GraphError(f"{where} has the unknown epilogue step {step!r:.80}")
        if len(step) - 1 != len(ACTIVATIONS.get(step[0], ())):
            raise GraphError(f"{where}: epilogue step {step!r:.80} has the wrong number of parameters")
    if not epilogue_fits(node.epilogue):
        raise GraphError(
            f"{where} has an epilogue of {len(node.epilogue)} steps; at most {MAX_EPILOGUE_WORDS} are allowed, "
            f"reading at most {MAX_EPILOGUE_ARGUMENTS} numbers and tensors"
        )
    parameters = [node.attrs[name] for name in ACTIVATIONS.get(node.op, ())]
    parameters += [number for step in node.epilogue for number in step[1:]]
    if not all(isinstance(number, int | float) for number in parameters):
        raise GraphError(
            f"{where} ({node.op}) has an activation with parameters {parameters!r:.80}, not numbers"
        )
    for number in (*node.attrs.values(), *parameters):
        if isinstance(number, int | float) and not abs(number) <= _LARGEST_FLOAT32:
            raise GraphError(
                f"{where} ({node.op}) has the attribute {number!r:.40}, which float32 cannot hold"
            )
    if node.epilogue and len(node.inputs) < sum(EPILOGUE_TENSORS.get(s[0], 0) for s in node.epilogue) + 1:
        raise GraphError(f"{where} has too few inputs for its epilogue")
    own, _ = split_inputs(node)
    if schema.variadic:
        if not own or "" in own:
            raise GraphError(f"{where} ({node.op}) has no inputs, or an absent one")
        return
    if len(own) > len(schema.inputs):
        raise GraphError(f"{where} ({node.op}) has {len(own)} inputs, expected at most {len(schema.inputs)}")
    for role, name in zip(schema.inputs, own, strict=True):
        if not name and not role.endswith("?"):
            raise GraphError(f"{where} ({node.op}) lacks its input '{role}'")


def infer_shape(node: Node, shapes: Shapes, constants: Mapping[str, FloatArray]) -> Shape:
    """Output shape of ``node`` for the given input shapes, epilogue tensors checked too.

    Raises:
        GraphError: naming the node and what does not fit.
    """
    own, extra = split_inputs(node)
    own_shapes: Shapes = list(shapes[: len(shapes) - len(extra)])
    own_shapes += [None] * (len(own) - len(own_shapes))
    try:
        out = OPS[node.op].infer(own_shapes, attributes(node))
        if None in out[1:]:
            raise ValueError(f"the batch would become another dimension: {out}")
        extra_shapes = iter(shapes[len(shapes) - len(extra) :])
        for word, *_ in node.epilogue:
            if word == "affine" and len(out) < 2:
                raise ValueError(f"epilogue 'affine' needs channels, which a result of shape {out} has not")
            for _ in range(EPILOGUE_TENSORS.get(word, 0)):
                got, expected = next(extra_shapes), out if word == "add" else (out[1],)
                if got != expected:
                    raise ValueError(f"epilogue '{word}' needs shape {expected}, got {got}")
    except (ValueError, TypeError, LookupError, ArithmeticError) as error:
        described = ", ".join(
            f"{n}{tuple(s)}" for n, s in zip(node.inputs, shapes, strict=True) if s is not None
        )
        raise GraphError(f"node '{node.name}' ({node.op}) over {described}: {error}") from None
    return out


def check_constants(node: Node, constants: Mapping[str, FloatArray]) -> None:
    """Raise GraphError if weights, biases, scales or shifts of ``node``, which follows the table, are no constants."""
    own, extra = split_inputs(node)
    required = [
        name
        for role, name in zip(OPS[node.op].inputs, own, strict=False)
        if name and role.rstrip("?") in _CONSTANT_INPUTS
    ]
    tensors = iter(extra)
    for word, *_ in node.epilogue:
        names = [next(tensors) for _ in range(EPILOGUE_TENSORS.get(word, 0))]
        required += names if word == "affine" else []
    for name in required:
        if name not in constants:
            raise GraphError(f"node '{node.name}' ({node.op}) needs a constant where it reads '{name}'")


def _same(shapes: Shapes, attrs: Attrs) -> Shape:
    assert shapes[0] is not None
    return shapes[0]


def _concat(shapes: Shapes, attrs: Attrs) -> Shape:
    first = shapes[0]
    assert first is not None
    axis = shape_rules.axis_in(attrs["axis"], first)
    total = 0
    for shape in shapes:
        assert shape is not None
        if len(shape) != len(first) or any(
            d != e for i, (d, e) in enumerate(zip(shape, first, strict=True)) if i != axis
        ):
            raise ValueError(f"cannot concatenate {first} and {shape} on axis {axis}")
        total += shape[axis]  # type: ignore[operator]
    return (*first[:axis], total, *first[axis + 1 :])


def _size(shape: Shape) -> int:
    return math.prod(int(d or 1) for d in shape[1:])


def _flatten(shapes: Shapes, attrs: Attrs) -> Shape:
    assert shapes[0] is not None
    return (shapes[0][0], _size(shapes[0]))


def _reshape(shapes: Shapes, attrs: Attrs) -> Shape:
    x, target = shapes[0], list(attrs["shape"])
    assert x is not None
    if len(target) > shape_rules.MAX_RANK:
        raise ValueError(f"shape has {len(target)} sizes, the limit is {shape_rules.MAX_RANK}")
    if target.count(-1) > 1 or any(not isinstance(d, int) or d < -1 or d == 0 for d in target):
        raise ValueError(
            f"shape must be positive sizes without the batch, one of them possibly -1; got {target}"
        )
    if -1 in target:
        known = -math.prod(target)
        target[target.index(-1)] = _size(x) // known
    if math.prod(target) != _size(x):
        raise ValueError(f"cannot reshape {x} to (N, {', '.join(map(str, target))})")
    return (x[0], *target)


def _transpose(shapes: Shapes, attrs: Attrs) -> Shape:
    x, perm = shapes[0], attrs["perm"]
    assert x is not None
    if sorted(perm) != list(range(len(x))) or perm[0] != 0:
        raise ValueError(f"perm must reorder {list(range(len(x)))} and leave the batch first, got {perm}")
    return tuple(x[i] for i in perm)


def _softmax(shapes: Shapes, attrs: Attrs) -> Shape:
    x = shapes[0]
    assert x is not None
    shape_rules.axis_in(attrs["axis"], x)
    return x


_CONV = {"stride": [1, 1], "padding": [0, 0, 0, 0], "dilation": [1, 1], "groups": 1}
_POOL = {"kernel": REQUIRED, "stride": REQUIRED, "padding": [0, 0, 0, 0], "ceil_mode": False}

OPS: dict[str, OpSchema] = {
    "conv2d": OpSchema(("x", "weight", "bias?"), image_rules.conv2d, _CONV, epilogue=True),
    "linear": OpSchema(("x", "weight", "bias?"), image_rules.linear, epilogue=True),
    # y = (x - mean) / sqrt(var + eps) * scale + bias, per channel (dimension 1); passes turn it into `affine`.
    "batch_norm": OpSchema(("x", "scale", "bias", "mean", "var"), image_rules.per_channel, {"eps": 1e-5}),
    # y = x * scale + shift, per channel.
    "affine": OpSchema(("x", "scale", "shift"), image_rules.per_channel, epilogue=True),
    "max_pool2d": OpSchema(("x",), image_rules.pool, {**_POOL, "dilation": [1, 1]}),  # padding counts as -inf
    "avg_pool2d": OpSchema(("x",), image_rules.pool, {**_POOL, "count_include_pad": True}),
    "global_avg_pool2d": OpSchema(("x",), image_rules.global_pool),  # -> (N, C, 1, 1)
    # These broadcast as NumPy does, and either side may be a constant.
    "add": OpSchema(("a", "b"), shape_rules.broadcast, epilogue=True),
    "sub": OpSchema(("a", "b"), shape_rules.broadcast, epilogue=True),
    "mul": OpSchema(("a", "b"), shape_rules.broadcast, epilogue=True),
    **{name: OpSchema(("a", "b"), shape_rules.broadcast) for name in ("div", "pow", "maximum", "minimum")},
    # 1 where it holds, 0 where not.
    **{name: OpSchema(("a", "b"), shape_rules.broadcast) for name in ("greater", "less", "equal")},
    "where": OpSchema(("condition", "a", "b"), shape_rules.broadcast),  # a where condition is not 0, else b
    **{
        name: OpSchema(("x",), _same, dict.fromkeys(parameters, REQUIRED))
        for name, parameters in ACTIVATIONS.items()
    },
    "softmax": OpSchema(("x",), _softmax, {"axis": 1}),
    "concat": OpSchema(("x",), _concat, {"axis": 1}, variadic=True),
    "flatten": OpSchema(("x",), _flatten),  # (N, ...) -> (N, F) in C order
    "reshape": OpSchema(("x",), _reshape, {"shape": REQUIRED}),  # shape without the batch; one -1 allowed
    "transpose": OpSchema(("x",), _transpose, {"perm": REQUIRED}),
    # Channels to pixels, in blocks of (rows, columns), and back. Channel (c, i, j) is pixel (i, j) of each block of
    # channel c; `depth_first`, channel (i, j, c) is.
    "depth_to_space": OpSchema(("x",), shape_rules.depth_to_space, {"block": REQUIRED, "depth_first": False}),
    "space_to_depth": OpSchema(("x",), shape_rules.space_to_depth, {"block": REQUIRED, "depth_first": False}),
    # Padding of H and W; `value` counts for mode "constant".
    "pad": OpSchema(("x",), image_rules.pad, {"padding": REQUIRED, "value": 0.0, "mode": "constant"}),
    # Coordinates "half_pixel" and "align_corners" as PyTorch's align_corners=False and True; nearest floors.
    # To a size, by a scale, or to the size of another image.
    "resize": OpSchema(
        ("x", "like?"),
        image_rules.resize,
        {"size": [], "scale": [], "mode": "nearest", "coordinates": "half_pixel"},
    ),
    # kind: sum, mean, max, min or prod
    "reduce": OpSchema(("x",), shape_rules.reduce, {"kind": REQUIRED, "axes": REQUIRED, "keepdims": True}),
    # The index of the largest number, the first or last of equal ones.
    "argmax": OpSchema(("x",), shape_rules.argmax, {"axis": REQUIRED, "last": False}),
    # y = (x - mean) / sqrt(var + eps), both over all elements from `axis` on.
    "normalize": OpSchema(("x",), shape_rules.normalize, {"axis": REQUIRED, "eps": 1e-5}),
    "matmul": OpSchema(("a", "b"), shape_rules.matmul),  # of the last two axes; either side may be a constant
    # Elements start, start + step, … of one axis; the step may be negative.
    "slice": OpSchema(
        ("x",), shape_rules.slice_axis, {"axis": REQUIRED, "start": REQUIRED, "count": REQUIRED, "step": 1}
    ),
    "gather": OpSchema(("x",), shape_rules.gather, {"axis": REQUIRED, "indices": REQUIRED}),
    "expand": OpSchema(("x",), shape_rules.expand, {"shape": REQUIRED}),  # shape without the batch
    # The indices of the `count` largest (or smallest) numbers of an axis, in order: NaN before everything, of equal
    # ones the first.
    "top_k": OpSchema(("x",), shape_rules.top_k, {"axis": REQUIRED, "count": REQUIRED, "largest": True}),
    # Elements by computed indices; a negative one counts from the back, and none leaves its axis: it stops at the end.
    "gather_elements": OpSchema(("x", "indices"), shape_rules.gather_elements, {"axis": REQUIRED}),
    "gather_nd": OpSchema(("x", "indices"), shape_rules.gather_nd),
    # Non-maximum suppression, class by class: [b, class, box] of at most `count` boxes each, the best first; rows that
    # are not needed are -1 and come last. Boxes are two corners (y, x, y, x) or, `center`, (x, y, width, height).
    "nms": OpSchema(
        ("boxes", "scores"),
        shape_rules.nms,
        {"count": REQUIRED, "iou_threshold": 0.0, "score_threshold": -_LARGEST_FLOAT32, "center": False},
    ),
    "nonzero": OpSchema(
        ("x",), shape_rules.nonzero
    ),  # where x is not 0: one column each; what is left over is -1
    # Of an axis only the first `count` elements are meant, a number known only at run time (see `graph.Partial`).
    "first": OpSchema(("x", "count"), shape_rules.first, {"axis": REQUIRED}),
    # What stands behind the first `count` elements of an axis becomes `value`: then it is data like any other.
    "fill": OpSchema(("x", "count"), shape_rules.first, {"axis": REQUIRED, "value": REQUIRED}),
    "identity": OpSchema(("x",), _same),
    "dropout": OpSchema(("x",), _same, {"p": 0.5}),  # identity at inference; removed by a pass
}
