"""Ops on tensors of any rank as ONNX writes them; see ``onnx_writer``."""

from __future__ import annotations

from onnx import TensorProto, helper

from bench.engines.onnx_builder import Call, Write


def comparison(kind: str) -> Write:
    """A comparison, its truth values as floats."""

    def write(c: Call) -> str:
        truth = c.w.emit(kind, c.x, f"{c.name}/truth")
        return c.emit("Cast", [truth], to=TensorProto.FLOAT)

    return write


def where(c: Call) -> str:
    """A choice, the condition made a truth value."""
    condition, a, b = c.x
    truth = c.w.emit("Cast", [condition], f"{c.name}/truth", to=TensorProto.BOOL)
    return c.emit("Where", [truth, a, b])


def reduce(c: Call) -> str:
    """Axes are an input of ReduceSum and an attribute of the others at operator set 13."""
    kind, axes, keep = c.attrs["kind"], c.attrs["axes"], int(c.attrs["keepdims"])
    if kind == "sum":
        return c.emit("ReduceSum", [*c.x, c.constant("axes", axes)], keepdims=keep)
    return c.emit(f"Reduce{kind.capitalize()}", axes=axes, keepdims=keep)


def depth_to_space(c: Call) -> str:
    """Blocks that are no squares are spelled out."""
    (r, s), (n, channels, height, width) = c.attrs["block"], c.in_shape
    if r == s:
        return c.emit("DepthToSpace", blocksize=r, mode="DCR" if c.attrs["depth_first"] else "CRD")
    depth = channels // (r * s)
    parts, order = ([depth, r, s], [0, 1, 4, 2, 5, 3])
    if c.attrs["depth_first"]:
        parts, order = [r, s, depth], [0, 3, 4, 1, 5, 2]
    return _through_blocks(c, [n, *parts, height, width], order)


def space_to_depth(c: Call) -> str:
    """ONNX has one order of channels, and squares."""
    (r, s), (n, channels, height, width) = c.attrs["block"], c.in_shape
    if r == s and c.attrs["depth_first"]:
        return c.emit("SpaceToDepth", blocksize=r)
    order = [0, 3, 5, 1, 2, 4] if c.attrs["depth_first"] else [0, 1, 3, 5, 2, 4]
    return _through_blocks(c, [n, channels, height // r, r, width // s, s], order)


def _through_blocks(c: Call, shape: list[int], order: list[int]) -> str:
    blocks = c.w.emit("Reshape", [*c.x, c.constant("block_sizes", shape)], f"{c.name}/blocks")
    transposed = c.w.emit("Transpose", [blocks], f"{c.name}/transposed", perm=order)
    return c.emit("Reshape", [transposed, c.constant("shape", c.out_shape)])


def argmax(c: Call) -> str:
    """The index as a float."""
    attrs = {"axis": c.attrs["axis"], "select_last_index": int(c.attrs["last"])}
    index = c.w.emit("ArgMax", c.x, f"{c.name}/index", **attrs)
    return c.emit("Cast", [index], to=TensorProto.FLOAT)


def normalize(c: Call) -> str:
    """Spelled out: LayerNormalization came with operator set 17."""
    axes = list(range(c.attrs["axis"], len(c.in_shape)))
    mean = c.w.emit("ReduceMean", c.x, f"{c.name}/mean", axes=axes)
    centred = c.w.emit("Sub", [*c.x, mean], f"{c.name}/centred")
    squares = c.w.emit("Mul", [centred, centred], f"{c.name}/squares")
    variance = c.w.emit("ReduceMean", [squares], f"{c.name}/variance", axes=axes)
    shifted = c.w.emit("Add", [variance, c.w.scalar(c.attrs["eps"])], f"{c.name}/shifted")
    return c.emit("Div", [centred, c.w.emit("Sqrt", [shifted], f"{c.name}/deviation")])


def slice_axis(c: Call) -> str:
    """Start, end, axis and step as inputs; a backward slice may end before the first element."""
    start, step = c.attrs["start"], c.attrs["step"]
    end = start + step * c.attrs["count"]
    bounds = (start, end if end >= 0 else -(2**31), c.attrs["axis"], step)
    names = [c.constant(part, [n]) for part, n in zip(("start", "end", "axis", "step"), bounds, strict=True)]
    return c.emit("Slice", [*c.x, *names])


def gather(c: Call) -> str:
    """Indices as an input."""
    return c.emit("Gather", [*c.x, c.constant("indices", c.attrs["indices"])], axis=c.attrs["axis"])


def expand(c: Call) -> str:
    """The shape as an input."""
    return c.emit("Expand", [*c.x, c.constant("shape", c.out_shape)])


def top_k(c: Call) -> str:
    """Of values and indices the second, as a float."""
    count = c.constant("count", [c.attrs["count"]])
    names = [f"{c.name}/values", f"{c.name}/index"]
    attrs = {"axis": c.attrs["axis"], "largest": int(c.attrs["largest"])}
    c.w.nodes.append(helper.make_node("TopK", [*c.x, count], names, name=names[1], **attrs))
    return c.emit("Cast", names[1:], to=TensorProto.FLOAT)


def _whole_numbers(c: Call) -> list[str]:
    return [c.x[0], c.w.emit("Cast", c.x[1:], f"{c.name}/indices", to=TensorProto.INT64)]


def gather_elements(c: Call) -> str:
    """By indices that lie inside."""
    return c.emit("GatherElements", _whole_numbers(c), axis=c.attrs["axis"])


def gather_nd(c: Call) -> str:
    """By indices that lie inside; the batch is its own."""
    return c.emit("GatherND", _whole_numbers(c), batch_dims=1)


def across_batch(c: Call) -> str:
    """What ONNX does over a whole batch at once, and with as many results as there are."""
    raise NotImplementedError(f"'{c.node.op}' of every image by itself cannot be written as ONNX")
