"""Rules for ONNX matrix products and normalization."""

from __future__ import annotations

import numpy as np

from converters.builder import Act, Const, Unsupported, Value
from converters.decompose.convolution import linear, linear_last_axis
from converters.decompose.einsum import einsum
from converters.decompose.elementwise import binary, scalar
from converters.decompose.normalization import batch_norm, group_norm, local_response, normalize
from converters.decompose.shapes import BATCH_HINT, reshape, transpose
from converters.decompose.tensors import reduce
from converters.onnx.call import Call, Rule, per_image


def _gemm(c: Call) -> Act:
    if c.lead and not (
        c.sizes[0] == 1 and isinstance(c.get(1), Const) and isinstance(c.get(2), Const | None)
    ):
        return _general_gemm(c)
    return per_image(_gemm_layer)(c)


def _gemm_layer(c: Call) -> Act:
    weight = c.const(1, "matrix B")
    if weight is None or weight.array.ndim != 2 or c.attrs.get("transA", 0):
        raise Unsupported(
            "Gemm is supported as a linear layer: (N, F) times a constant matrix, without transA", "transA"
        )
    alpha, beta = c.attrs.get("alpha", 1.0), c.attrs.get("beta", 1.0)
    matrix = weight.array if c.attrs.get("transB", 0) else weight.array.T
    kept = c.attrs.get("transB", 0) and alpha == 1.0
    scaled = Const(matrix if alpha == 1.0 else matrix * np.float32(alpha), weight.name if kept else "")
    extra = c.get(2)
    if extra is None:
        return linear(c.b, c.site, c.x, scaled, None)
    if isinstance(extra, Const) and (extra.array.ndim < 2 or extra.array.shape[0] == 1):
        flat = extra.array.reshape(-1)
        bias = Const(
            np.broadcast_to(flat * np.float32(beta), (matrix.shape[0],)), extra.name if beta == 1.0 else ""
        )
        return linear(c.b, c.site, c.x, scaled, bias)
    if not isinstance(extra, Act) or beta != 1.0:
        raise Unsupported("the third input of Gemm must be a bias of one row")
    product = linear(c.b, c.site.sub("matmul"), c.x, scaled, None)
    return binary(c.b, c.site, "add", product, extra)


def _general_gemm(c: Call) -> Act:
    """Rule of Gemm, alpha · A' B' + beta · C, of matrices that are all one sample."""
    sides: list[Value] = []
    for index, flag in enumerate(("transA", "transB")):
        value, turned = c.operand(index), c.attrs.get(flag, 0)
        if isinstance(value, Const):
            sides.append(Const(value.array.T) if turned else value)
        else:
            sides.append(transpose(c.b, c.at(flag), value, [0, 2, 1]) if turned else value)
    alpha, beta, extra = c.attrs.get("alpha", 1.0), c.attrs.get("beta", 1.0), c.get(2)
    result = c.binary("matmul", sides[0], sides[1], "" if alpha == 1.0 and extra is None else "product")
    if alpha != 1.0:
        result = c.binary("mul", result, scalar(alpha), "" if extra is None else "alpha")
    if extra is None:
        return result
    addend = c.operand(2)
    if isinstance(addend, Const):
        addend = Const(addend.array * np.float32(beta))
    elif beta != 1.0:
        addend = c.binary("mul", addend, scalar(beta), "beta")
    return c.binary("add", result, addend)


def _matmul(c: Call) -> Act:
    left, right = c.operand(0), c.operand(1)
    shapes = [c.shape_of(side) for side in (left, right)]
    if isinstance(right, Const) and right.array.ndim == 2 and isinstance(left, Act):
        weight, rank = Const(right.array.T), len(c.b.shapes[left.tensor])
        if rank == 2:
            return linear(c.b, c.site, left, weight, None)
        if rank <= 4:
            return linear_last_axis(c.b, c.site, left, weight, None)
    if min(map(len, shapes)) >= 2:
        return _product(c, left, right, "")
    if not c.lead:
        raise Unsupported(BATCH_HINT)
    # A vector is a matrix of one row or column, which the result then has not.
    wanted = [*shapes[0][:-1], *(shapes[1][:-2] + shapes[1][-1:] if len(shapes[1]) > 1 else ())]
    if len(shapes[0]) > 1 and len(shapes[1]) > 1:
        wanted = []
    matrices: list[Value] = []
    for i, (side, shape) in enumerate(zip((left, right), shapes, strict=True)):
        if len(shape) > 1:
            matrices.append(side)
            continue
        as_matrix = [1, shape[0]] if i == 0 else [shape[0], 1]
        sizes = [int(d or 0) for d in as_matrix]
        if isinstance(side, Const):
            matrices.append(Const(side.array.reshape(sizes)))
        else:
            matrices.append(reshape(c.b, c.at(f"matrix{i}"), side, sizes))
    product = _product(c, matrices[0], matrices[1], "product")
    return reshape(c.b, c.site, product, [int(d or 0) for d in wanted])


def _einsum(c: Call) -> Act:
    values = [c.operand(i) for i in range(len(c.inputs))]
    return einsum(c.b, c.site, values, c.attrs["equation"], c.lead)


def _product(c: Call, left: Value, right: Value, part: str) -> Act:
    for side in (left, right):
        if isinstance(side, Const) and not c.lead and side.array.ndim > 2 and side.array.shape[0] != 1:
            rank = max(len(c.shape_of(v)) for v in (left, right))
            if side.array.ndim == rank:
                raise Unsupported("the constant matrix has a batch dimension of its own")
    return c.binary("matmul", left, right, part)


def _batch_norm(c: Call) -> Act:
    if c.attrs.get("training_mode", 0) or not c.attrs.get("spatial", 1):
        raise Unsupported(
            "it normalises with the statistics of the batch; export the model in evaluation mode",
            "training_mode",
        )
    if any(not isinstance(c.get(i), Const) for i in range(1, 5)):
        return _computed_batch_norm(c)
    parameters = [c.const(i, "parameters") for i in range(1, 5)]
    return batch_norm(c.b, c.site, c.x, parameters, c.attrs.get("epsilon", 1e-5), c.lead)


def _computed_batch_norm(c: Call) -> Act:
    """Rule of batch normalization with parameters that the network computes."""
    if not c.lead:
        raise Unsupported(BATCH_HINT)
    columns: list[Value] = []
    for i, part in enumerate(("scale", "shift", "mean", "variance"), 1):
        value, sizes = c.operand(i), [c.sizes[1], *[1] * (len(c.sizes) - 2)]
        if isinstance(value, Const):
            columns.append(Const(value.array.reshape(sizes)))
        else:
            columns.append(reshape(c.b, c.at(part), value, sizes))
    scale, shift, mean, variance = columns
    raised = c.binary("add", variance, scalar(c.attrs.get("epsilon", 1e-5)), "raised")
    assert isinstance(raised, Act)
    deviation = c.b.node("sqrt", c.at("deviation"), [raised.tensor])
    normalized = c.binary("div", c.binary("sub", c.x, mean, "centred"), deviation, "normalized")
    return c.binary("add", c.binary("mul", normalized, scale, "scaled"), shift)


def _instance_norm(c: Call) -> Act:
    scale, shift = c.const(1, "scale"), c.const(2, "bias")
    return group_norm(c.b, c.site, c.x, c.sizes[0], scale, shift, c.attrs.get("epsilon", 1e-5))


def _group_norm(c: Call) -> Act:
    groups = c.attrs["num_groups"]
    vectors = [c.const(i, what) for i, what in ((1, "scale"), (2, "bias"))]
    if c.opset < 21:  # scale and bias were one number per group
        repeats = c.sizes[0] // groups
        vectors = [v if v is None else Const(np.repeat(v.array, repeats)) for v in vectors]
    eps = c.attrs.get("epsilon", 1e-5)
    return group_norm(c.b, c.site, c.x, groups, vectors[0], vectors[1], eps)


def _layer_norm(c: Call) -> Act | list[Act]:
    axis, eps = c.axis(c.attrs.get("axis", -1)), c.attrs.get("epsilon", 1e-5)
    scaled = [c.get(i) is not None for i in (1, 2)]
    y = normalize(c.b, c.at("normalized") if any(scaled) else c.site, c.x, axis, eps)
    if scaled[0]:
        y = c.binary("mul", y, c.operand(1), "scaled" if scaled[1] else "")
    if scaled[1]:
        y = c.binary("add", y, c.operand(2))
    return y if len(c.outputs) == 1 else [y, *_layer_statistics(c, axis, eps)]


def _layer_statistics(c: Call, axis: int, eps: float) -> list[Act]:
    """Mean and 1 / standard deviation, which the operator also gives."""
    axes = list(range(axis, len(c.sizes) + 1))
    mean = reduce(c.b, c.at("mean"), c.x, "mean", axes, True)
    centred = c.binary("sub", c.x, mean, "centred")
    variance = reduce(c.b, c.at("variance"), c.binary("mul", centred, centred, "squares"), "mean", axes, True)
    shifted = c.binary("add", variance, scalar(eps), "shifted")
    deviation = c.b.node("sqrt", c.at("deviation"), [shifted.tensor])
    return [mean, c.b.node("reciprocal", c.at("inverse"), [deviation.tensor])]


def _rms_norm(c: Call) -> Act:
    axis = c.axis(c.attrs.get("axis", -1))
    axes = list(range(axis, len(c.sizes) + 1))
    squares = c.binary("mul", c.x, c.x, "squares")
    mean = reduce(c.b, c.at("mean"), squares, "mean", axes, True)
    shifted = c.binary("add", mean, scalar(c.attrs.get("epsilon", 1e-5)), "shifted")
    root = c.b.node("sqrt", c.at("root"), [shifted.tensor])
    return c.binary("mul", c.binary("div", c.x, root, "normalized"), c.operand(1))


def _mean_variance_norm(c: Call) -> Act:
    axes = sorted(c.axis(a) for a in c.attrs.get("axes", [0, 2, 3]))
    mean = reduce(c.b, c.at("mean"), c.x, "mean", axes, True)
    centred = c.binary("sub", c.x, mean, "centred")
    variance = reduce(c.b, c.at("variance"), c.binary("mul", centred, centred, "squares"), "mean", axes, True)
    deviation = c.b.node("sqrt", c.at("deviation"), [variance.tensor])
    return c.binary("div", centred, c.binary("add", deviation, scalar(1e-9), "shifted"))


def _lrn(c: Call) -> Act:
    alpha, beta, bias = (c.attrs.get(k, v) for k, v in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0)))
    return local_response(c.b, c.site, c.x, c.attrs["size"], alpha, beta, bias)


def _lp_norm(c: Call) -> Act:
    axis, p = c.axis(c.attrs.get("axis", -1)), c.attrs.get("p", 2)
    if p not in (1, 2):
        raise Unsupported(f"the {p}-norm is not supported; only p = 1 and 2", "p")
    size = c.unary_at("abs", "abs") if p == 1 else c.binary("mul", c.x, c.x, "squares")
    norm = reduce(c.b, c.at("sum"), size, "sum", [axis], True)
    if p == 2:
        norm = c.b.node("sqrt", c.at("norm"), [norm.tensor])
    # 0 / 0 is 0 here: where the norm is 0, so is every number.
    zero = c.binary("equal", norm, scalar(0.0), "zero")
    return c.binary("div", c.x, c.binary("add", norm, zero, "nonzero"))


RULES: dict[str, Rule] = {
    "Gemm": _gemm,
    "MatMul": _matmul,
    "Einsum": _einsum,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": per_image(_instance_norm),
    "GroupNormalization": per_image(_group_norm),
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _rms_norm,
    "MeanVarianceNormalization": _mean_variance_norm,
    "LRN": per_image(_lrn),
    "LpNormalization": _lp_norm,
}
