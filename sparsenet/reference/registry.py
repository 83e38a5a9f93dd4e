"""Op name → reference function; a test holds it against ``sparsenet.graph.ops.OPS``."""

from __future__ import annotations

from collections.abc import Mapping

from sparsenet.graph.ops import ACTIVATIONS
from sparsenet.reference.activations import as_operation
from sparsenet.reference.choose import fill, gather_elements, gather_nd, nms, nonzero, top_k
from sparsenet.reference.conv2d import conv2d
from sparsenet.reference.elementwise import (
    add,
    div,
    equal,
    greater,
    less,
    maximum,
    minimum,
    mul,
    power,
    sub,
    where,
)
from sparsenet.reference.linear import linear, matmul
from sparsenet.reference.normalization import affine, batch_norm
from sparsenet.reference.operation import Operation
from sparsenet.reference.pad import pad
from sparsenet.reference.pooling import avg_pool2d, global_avg_pool2d, max_pool2d
from sparsenet.reference.rearrange import (
    concat,
    depth_to_space,
    expand,
    flatten,
    gather,
    identity,
    reshape,
    slice_axis,
    space_to_depth,
    transpose,
)
from sparsenet.reference.reduce import argmax, normalize, reduce
from sparsenet.reference.resize import resize
from sparsenet.reference.softmax import softmax

OPERATIONS: Mapping[str, Operation] = {
    "conv2d": conv2d,
    "linear": linear,
    "batch_norm": batch_norm,
    "affine": affine,
    "max_pool2d": max_pool2d,
    "avg_pool2d": avg_pool2d,
    "global_avg_pool2d": global_avg_pool2d,
    "add": add,
    "sub": sub,
    "mul": mul,
    "div": div,
    "pow": power,
    "maximum": maximum,
    "minimum": minimum,
    "greater": greater,
    "less": less,
    "equal": equal,
    "where": where,
    **{word: as_operation(word) for word in ACTIVATIONS},
    "softmax": softmax,
    "concat": concat,
    "flatten": flatten,
    "reshape": reshape,
    "transpose": transpose,
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
    "pad": pad,
    "resize": resize,
    "reduce": reduce,
    "argmax": argmax,
    "normalize": normalize,
    "matmul": matmul,
    "slice": slice_axis,
    "gather": gather,
    "expand": expand,
    "top_k": top_k,
    "gather_elements": gather_elements,
    "gather_nd": gather_nd,
    "nms": nms,
    "nonzero": nonzero,
    "first": identity,
    "fill": fill,
    "identity": identity,
    "dropout": identity,
}
