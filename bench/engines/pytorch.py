"""PyTorch in eager mode, channels last, batch norm folded as our graph has it: at least its ordinary speed on CPUs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bench.engines.session import Array, EngineMissing, Network, Session
from sparsenet.graph import Node
from sparsenet.graph.ops import attributes, split_inputs


def prepare(network: Network, threads: int) -> Session:
    """Raises EngineMissing for an op that is not written here, such as what detectors choose by value."""
    graph = network.graph
    for node in graph.nodes:
        for op in (node.op, *(step[0] for step in node.epilogue)):
            if op not in OPERATIONS:
                raise EngineMissing(f"'{op}' of layer '{node.name}' is not written for PyTorch here")
    constants = {name: _channels_last(value) for name, value in graph.constants.items()}
    steps = [Step(node) for node in graph.nodes]
    unread = last_reads(graph.nodes, graph.outputs)

    @torch.inference_mode()
    def run(x: Array) -> list[Array]:
        torch.set_num_threads(threads)
        values = {**constants, graph.inputs[0].name: _channels_last(x)}
        for step, done in zip(steps, unread, strict=True):
            values[step.output] = step(values)
            for name in done:
                values.pop(name, None)
        return [np.ascontiguousarray(values[name].numpy()) for name in graph.outputs]

    return Session(run)


def _channels_last(array: Array) -> Tensor:
    tensor = torch.from_numpy(array)
    return tensor.contiguous(memory_format=torch.channels_last) if array.ndim == 4 else tensor


def last_reads(nodes: list[Node], outputs: list[str]) -> list[list[str]]:
    """Per node, the tensors that nothing behind it reads."""
    wanted = set(outputs)
    reads = []
    for node in reversed(nodes):
        reads.append([name for name in node.inputs if name and name not in wanted])
        wanted.update(node.inputs)
    return reads[::-1]


class Step:
    """One node: the operation, then the words of its epilogue."""

    def __init__(self, node: Node) -> None:
        self.output = node.output
        self.own, self.extra = split_inputs(node)
        self.epilogue = node.epilogue
        self.operation = OPERATIONS[node.op]
        self.attrs = {key: value for key, value in attributes(node).items() if key != "epilogue"}

    def __call__(self, values: dict[str, Tensor]) -> Tensor:
        """The node's output; ``values`` holds its inputs by name."""
        x: Tensor = self.operation(*(values[name] if name else None for name in self.own), **self.attrs)
        waiting = (values[name] for name in self.extra)
        for word, *numbers in self.epilogue:
            if word == "affine":
                x = _affine(x, next(waiting), next(waiting))
            elif word == "add":
                x = x + next(waiting)
            else:
                x = ACTIVATIONS[word](x, *numbers)
        return x


def _padded(x: Tensor, padding: list[int], value: float = 0.0) -> tuple[Tensor, list[int]]:
    """``x`` and the padding still to be done: an uneven one is done here."""
    top, left, bottom, right = padding
    if (top, left) == (bottom, right):
        return x, [top, left]
    return F.pad(x, (left, right, top, bottom), value=value), [0, 0]


def _conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
) -> Tensor:
    x, padding = _padded(x, padding)
    return F.conv2d(x, weight, bias, stride, padding, dilation, groups)


def _affine(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    # One pass over the data, where a product and a sum would be two.
    return F.batch_norm(x, torch.zeros_like(scale), torch.ones_like(scale), scale, shift, eps=0.0)


def _max_pool2d(
    x: Tensor, kernel: list[int], stride: list[int], padding: list[int], ceil_mode: bool, dilation: list[int]
) -> Tensor:
    x, padding = _padded(x, padding, -np.inf)
    return F.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode)


def _avg_pool2d(
    x: Tensor,
    kernel: list[int],
    stride: list[int],
    padding: list[int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> Tensor:
    if padding[:2] != padding[2:]:
        raise NotImplementedError("average pooling with uneven padding is not written for PyTorch here")
    return F.avg_pool2d(x, kernel, stride, padding[:2], ceil_mode, count_include_pad)


def _resize(
    x: Tensor, like: Tensor | None, size: list[int], scale: list[float], mode: str, coordinates: str
) -> Tensor:
    if like is not None:
        size = list(like.shape[2:])
    elif scale:
        size = [int(n * factor + 1e-6) for n, factor in zip(x.shape[2:], scale, strict=True)]
    corners = None if mode == "nearest" else coordinates == "align_corners"
    return F.interpolate(x, size, mode=mode, align_corners=corners)


def _pad(x: Tensor, padding: list[int], value: float, mode: str) -> Tensor:
    top, left, bottom, right = padding
    ours = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}[mode]
    return F.pad(x, (left, right, top, bottom), ours, value=value if mode == "constant" else None)


def _reduce(x: Tensor, kind: str, axes: list[int], keepdims: bool) -> Tensor:
    if kind == "prod":
        for axis in sorted(axes, reverse=True):
            x = x.prod(axis, keepdims)
        return x
    function = {"sum": torch.sum, "mean": torch.mean, "max": torch.amax, "min": torch.amin}[kind]
    result: Tensor = function(x, axes, keepdims)  # type: ignore[operator]
    return result


def _argmax(x: Tensor, axis: int, last: bool) -> Tensor:
    if last:
        return x.shape[axis] - 1 - x.flip(axis).argmax(axis, keepdim=True).float()
    return x.argmax(axis, keepdim=True).float()


def _gather_elements(x: Tensor, indices: Tensor, axis: int) -> Tensor:
    return x.gather(axis, indices.round().clamp(0, x.shape[axis] - 1).long())


def _slice(x: Tensor, axis: int, start: int, count: int, step: int) -> Tensor:
    return x.index_select(axis, start + step * torch.arange(count))


def _same(x: Tensor, **_: Any) -> Tensor:
    return x


ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "relu": F.relu,
    "leaky_relu": lambda x, slope: F.leaky_relu(x, slope),
    "clip": lambda x, min, max: x.clamp(min, max),  # noqa: A006 - the names of the op table
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "silu": F.silu,
    "hard_sigmoid": F.hardsigmoid,
    "hard_swish": F.hardswish,
    "elu": lambda x, alpha: F.elu(x, alpha),
    "gelu": F.gelu,
    "softplus": F.softplus,
    **{
        word: getattr(torch, word)
        for word in ("erf", "exp", "log", "sqrt", "abs", "floor", "round", "reciprocal")
    },
}


def _depth_to_space(x: Tensor, block: list[int], depth_first: bool) -> Tensor:
    r, s = block
    if r == s and not depth_first:
        return F.pixel_shuffle(x, r)
    parts, order = ((r, s, -1), (0, 3, 4, 1, 5, 2)) if depth_first else ((-1, r, s), (0, 1, 4, 2, 5, 3))
    return x.unflatten(1, parts).permute(order).flatten(4, 5).flatten(2, 3)


def _space_to_depth(x: Tensor, block: list[int], depth_first: bool) -> Tensor:
    r, s = block
    if r == s and not depth_first:
        return F.pixel_unshuffle(x, r)
    order = (0, 3, 5, 1, 2, 4) if depth_first else (0, 1, 3, 5, 2, 4)
    return x.unflatten(3, (-1, s)).unflatten(2, (-1, r)).permute(order).flatten(1, 3)


#: Op of the table → function of its inputs, with its attributes by name; those of a detector's end are left out.
OPERATIONS: dict[str, Callable[..., Tensor]] = {
    "conv2d": _conv2d,
    "linear": F.linear,
    "batch_norm": lambda x, scale, bias, mean, var, eps: F.batch_norm(x, mean, var, scale, bias, eps=eps),
    "affine": _affine,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "global_avg_pool2d": lambda x: x.mean((2, 3), keepdim=True),
    "add": torch.add,
    "sub": torch.sub,
    "mul": torch.mul,
    "div": torch.div,
    "pow": torch.pow,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "greater": lambda a, b: (a > b).float(),
    "less": lambda a, b: (a < b).float(),
    "equal": lambda a, b: (a == b).float(),
    "where": lambda condition, a, b: torch.where(condition != 0, a, b),
    **ACTIVATIONS,
    "softmax": lambda x, axis: x.softmax(axis),
    "concat": lambda *xs, axis: torch.cat(xs, axis),
    "flatten": lambda x: x.flatten(1),
    "reshape": lambda x, shape: x.reshape(x.shape[0], *shape),
    "transpose": lambda x, perm: x.permute(perm),
    "depth_to_space": _depth_to_space,
    "space_to_depth": _space_to_depth,
    "pad": _pad,
    "resize": _resize,
    "reduce": _reduce,
    "argmax": _argmax,
    "top_k": lambda x, axis, count, largest: x.topk(count, axis, largest).indices.float(),
    "gather_elements": _gather_elements,
    "normalize": lambda x, axis, eps: F.layer_norm(x, x.shape[axis:], eps=eps),
    "matmul": torch.matmul,
    "slice": _slice,
    "gather": lambda x, axis, indices: x.index_select(axis, torch.tensor(indices)),
    "expand": lambda x, shape: x.expand(x.shape[0], *shape),
    "identity": _same,
    "dropout": _same,
}
