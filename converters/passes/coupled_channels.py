"""Coupled channels: which channels of a node's inputs stay or go together with which of its output.

A residual add couples channel i of both its inputs with channel i of their sum; a depthwise convolution, an activation
and a pooling couple channel i of input and output; a grouped convolution couples group with group, a flatten each
channel with the features it becomes, a concatenation each input with its own part of the output. A dense convolution
couples nothing: each of its output channels may read every input channel.

This is the one place that knows it. Removing channels (``needed_channels``) and choosing them (structured pruning, in
``training``) both ask here.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

from converters.passes.channel_values import channel_count, keeps_channel_order
from sparsenet.graph import Node, Shape
from sparsenet.graph.ops import OPS, attributes, split_inputs, value_inputs


@dataclass(frozen=True)
class Coupling:
    """Channels of one input and channels of the output, in equal runs, run i of one coupled with run i of the other.

    Attributes:
        tensor: the input.
        runs: how many there are; as many as channels where these are coupled one by one.
        start, stop: the channels of the output that take part.
    """

    tensor: str
    runs: int
    start: int
    stop: int


@dataclass(frozen=True)
class Couplings:
    """What a node does with the channels of its inputs, as far as these are computed, not constants.

    Attributes:
        coupled: the inputs whose channels are coupled with the output's.
        read: the inputs of which each output channel may read every channel.
    """

    coupled: tuple[Coupling, ...] = ()
    read: tuple[str, ...] = ()


def couplings(node: Node, shapes: Mapping[str, Shape], constants: Container[str]) -> Couplings | None:
    """The coupled channels of a node; ``None`` if its op is not understood channel by channel.

    Channels are dimension 1.

    Args:
        node: follows the op table.
        shapes: of its output and of its inputs that are not ``constants``.
        constants: names of the constants of the graph.
    """
    own, extra, schema = value_inputs(node), split_inputs(node)[1], OPS[node.op]
    inputs = [name for name in own if name and name not in constants]
    out = shapes[node.output]
    width = channel_count(out)

    def coupled(name: str, runs: int = width) -> Coupling:
        return Coupling(name, runs, 0, width)

    added = tuple(coupled(name) for name in extra if name not in constants)
    if schema.joins and inputs == own:
        return Couplings((*_parts(node, own, shapes), *added))
    if schema.arithmetic and all(len(shapes[name]) == len(out) > 1 for name in inputs):
        same = [name for name in inputs if channel_count(shapes[name]) == width]
        broadcast = tuple(name for name in inputs if name not in same)
        return Couplings((*map(coupled, same), *added), broadcast)
    if inputs != own[:1]:
        return None
    (x,) = inputs
    if schema.weighted:
        groups = attributes(node).get("groups", 1)
        return Couplings(added, (x,)) if groups == 1 else Couplings((coupled(x, groups), *added))
    if schema.per_channel:
        return Couplings((coupled(x), *added))
    if keeps_channel_order(node, shapes[x], out):
        return Couplings((coupled(x, channel_count(shapes[x])), *added))
    return None


def carried(node: Node, shapes: Mapping[str, Shape], constants: Container[str]) -> str | None:
    """The input whose channels a node carries on one by one, in place and unmixed with others', if there is one."""
    found = couplings(node, shapes, constants)
    if found is None or found.read or len(found.coupled) != 1:
        return None
    (only,) = found.coupled
    one_by_one = only.runs == channel_count(shapes[only.tensor]) == channel_count(shapes[node.output])
    return only.tensor if one_by_one else None


def _parts(node: Node, inputs: list[str], shapes: Mapping[str, Shape]) -> list[Coupling]:
    """Each input of a concatenation with its channels of the output: all of them if it joins another axis."""
    parts, start = [], 0
    for name in inputs:
        width = channel_count(shapes[name])
        parts.append(Coupling(name, width, start, start + width))
        start += width if attributes(node)["axis"] == 1 else 0
    return parts
