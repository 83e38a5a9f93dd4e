"""Convolutions: sparse or dense, with the tile that takes the fewest instructions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from sparsenet.graph import Node
from sparsenet.plan.lowering.convolution import Convolution
from sparsenet.plan.lowering.weights import zeros_in_words
from sparsenet.targets.c99.builder import Builder
from sparsenet.targets.c99.constant import Word
from sparsenet.targets.c99.errors import NoKernelError
from sparsenet.targets.c99.kernel import Kernel
from sparsenet.targets.c99.lower.epilogues import Epilogue, epilogue_of
from sparsenet.targets.c99.machine import csr_instructions, dense_instructions, depthwise_instructions
from sparsenet.targets.c99.stage import Read
from sparsenet.targets.c99.value import Value
from sparsenet.targets.c99.weights import MOST_PLACE, Sparse, Weights, blocked, sparse, stepped

#: Output channels that a dense kernel makes at a time.
_OUTPUTS = (4, 2, 1)


@dataclass(frozen=True, eq=False)
class _Layer:
    """A convolution on its way; ``widths`` and ``outputs``: pixels, and channels of a dense kernel, made at a time."""

    builder: Builder
    conv: Convolution
    weights: Weights
    x: Value
    epilogue: Epilogue
    widths: list[int]
    outputs: list[int]


@dataclass(frozen=True, eq=False)
class _Way:
    """One way to compute it: how many instructions a row takes, the kernel, and what its weights are packed into."""

    instructions: int
    weight_format: str
    family: str
    tile: tuple[int, ...]
    found: Sparse | None = None


def lower(builder: Builder, node: Node) -> None:
    """Add the stage of a convolution; the mean of the whole result is made along with it where it is wanted alone."""
    conv = Convolution.of(builder.graph, builder.shapes, node)
    geometry = conv.geometry
    weights = builder.once(partial(Weights.of, values=builder.options.values), conv)
    few = builder.options.sparse and 2 * weights.nnz < weights.numbers.size
    by_place = not conv.depthwise and (conv.groups > 1 or few)
    x = builder.rows(conv.x, geometry.halo[2], MOST_PLACE if by_place else None)
    c_out, width = len(weights.bias), geometry.out[1]
    widths = list(builder.options.machine.widths(width))
    outputs = [number for number in _OUTPUTS if number <= c_out]
    pooled = builder.pooled.get(node.name)
    if pooled is not None:  # tiles may not overlap: what is made twice would be added up twice
        widths = [tile for tile in widths if width % tile == 0]
        outputs = [number for number in outputs if c_out % number == 0]
    _add(_Layer(builder, conv, weights, x, epilogue_of(builder, node), widths, outputs), pooled)


def _ways(layer: _Layer) -> Iterator[_Way]:
    conv, weights, small = layer.conv, layer.weights, layer.weights.small
    c_out, c_in, k_h, k_w = weights.numbers.shape
    stride, dilation = conv.geometry.stride[1], conv.geometry.dilation[1]
    width, most = conv.geometry.out[1], layer.builder.options.machine.tile
    finish, i8 = layer.epilogue.instructions, "i8" if small else ""
    if conv.depthwise:
        for tile in layer.widths:
            if tile + k_w + 1 <= most + 4 or tile == 1:
                count = depthwise_instructions(
                    c_out, k_h, k_w, width, tile, stride, small=small, finish=finish
                )
                yield _Way(count, "dense", f"depthwise_dense{i8}", (tile, stride, k_w, dilation))
        return
    if conv.groups == 1:
        for outputs in layer.outputs:
            for tile in layer.widths:
                if outputs * tile + outputs + tile <= most + 8 or (outputs, tile) == (1, 1):
                    count = dense_instructions(
                        c_in * k_h * k_w, c_out, width, outputs, tile, small=small, finish=finish
                    )
                    yield _Way(count, "dense", f"conv_dense{i8}", (outputs, tile, stride, k_w))
        if not layer.builder.options.sparse:
            return
    found, family = None, f"conv_csr{i8}"
    if small and k_w == 1 and conv.groups == 1:
        found, family = stepped(weights), "conv_stepsi8"
    found = found or sparse(weights, conv.groups, layer.x.channel, dilation)
    if found is not None:
        for tile in layer.widths:
            count = csr_instructions(len(found.values), c_out, k_h, width, tile, small=small, finish=finish)
            yield _Way(
                count, "csr", family, (int(k_h == 1 and not any(conv.geometry.halo[:2])), tile, stride), found
            )


def _add(layer: _Layer, pooled: Node | None) -> None:
    builder, geometry, epilogue = layer.builder, layer.conv.geometry, layer.epilogue
    out = builder.new((pooled or layer.conv.node).output)
    fused, arguments = epilogue.ops, dict(epilogue.arguments)
    if pooled is not None:
        rows, columns = geometry.out
        arguments |= {f"rows_{len(fused)}": rows, f"share_{len(fused)}": 1 / (rows * columns)}
        fused += ("mean",)
    ways = {Kernel(f"f32_{way.family}_rows", way.tile, fused): way for way in _ways(layer)}
    if not ways:
        raise NoKernelError("its rows are longer than 16 bits can tell")

    def settle(kernel: Kernel) -> dict[str, Word]:
        return _settle(layer, ways[kernel], kernel, out) | arguments

    builder.add_best(
        out,
        {kernel: way.instructions for kernel, way in ways.items()},
        settle,
        [
            Read(layer.x, geometry.kernel[0], geometry.stride[0], -geometry.before[0], geometry.dilation[0]),
            *epilogue.reads,
        ],
        units=geometry.out[0],
        by_rows=pooled is None,
    )


def _settle(layer: _Layer, way: _Way, kernel: Kernel, out: Value) -> dict[str, Word]:
    """The arguments of the kernel that was chosen, but for those of fused ops; the choice is recorded."""
    builder, conv, weights, geometry = layer.builder, layer.conv, layer.weights, layer.conv.geometry
    known: dict[str, Word] = {
        "c_out": len(weights.bias),
        "kernel_rows": geometry.kernel[0],
        "before": geometry.before[1],
        "width": geometry.out[1],
        "out_channel": out.channel,
        "bias": builder.constant(weights.bias),
        "x_channel": layer.x.channel,
        "c_in": weights.numbers.shape[1],
        "dilation": geometry.dilation[1],
        "multiplier": len(weights.bias) // conv.groups,
    }
    if weights.scale is not None:
        known["scale"] = builder.constant(weights.scale)
    if way.found is not None:
        values, places, counts = (builder.constant(array) for array in way.found)
        known |= {"weights": values, "places": places, "counts": counts}
    elif conv.depthwise:
        known["weights"] = builder.constant(weights.numbers)
    else:
        known["weights"] = builder.constant(builder.once(blocked, weights, way.tile[0]))
    zeros = zeros_in_words(weights.nnz / weights.numbers.size)
    reason = f"{zeros}, {way.instructions * geometry.out[0] / 1e6:.2f} M instructions"
    builder.choose(conv.node, way.weight_format, kernel, reason, **conv.counts(weights.nnz))
    return {argument.name: known[argument.name] for argument in kernel.family.signature}


LOWER = {"conv2d": lower}
