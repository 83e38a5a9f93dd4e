"""Explanations of a node's numbers, from those it has at several sizes of the network's inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from sparsenet.graph import Graph, Node, Shape
from sparsenet.graph.size_of import SizeOf

#: Largest divisor of a quotient that is rounded.
LARGEST_DIVISOR = 64
#: A node at each size of the network's inputs, with the size of the image that it reads there.
Versions = Sequence[tuple[Node, Shape]]
#: Op and attributes that are right for every size; None where there are none.
Explained = tuple[str, dict[str, Any]] | None


class Samples:
    """Shapes of tensors in graphs of one network at different sizes, the same order of graphs throughout.

    ``alternatives`` lists, for each number that follows from a size, every explanation that fits these samples.
    """

    def __init__(self, shapes: Sequence[Mapping[str, Shape]]) -> None:
        self.shapes = shapes
        self.alternatives: list[list[SizeOf]] = []
        self._made: dict[tuple[int, ...], list[tuple[str, int]]] = {}

    def sizes(self, tensor: str, axis: int) -> tuple[int, ...]:
        """The size of one dimension in every graph."""
        return tuple(int(shapes[tensor][axis] or 0) for shapes in self.shapes)

    def add(self, tensor: str) -> None:
        """Let numbers of the nodes that come now follow from this tensor."""
        for axis in range(1, len(self.shapes[0][tensor])):
            sizes = self.sizes(tensor, axis)
            if len(set(sizes)) > 1:
                self._made.setdefault(sizes, []).append((tensor, axis))

    def source(self, node: Node, values: tuple[int, ...]) -> SizeOf | None:
        """The best explanation of these values: a size of the node's own input, another's, or a rule of one."""
        first, others = self.shapes[0], self._made.items()
        own = [
            (x, axis) for x in node.inputs if x and first[x][0] is None for axis in range(1, len(first[x]))
        ]
        owned = [(sizes, [place]) for place in own if len(set(sizes := self.sizes(*place))) > 1]
        turns = ((_same, owned), (_linear, owned), (_same, others), (_linear, others), (_rounded, owned))
        found = [
            SizeOf(tensor, axis, **terms)
            for rule, known in (*turns, (_rounded, others))
            for sizes, places in known
            if (terms := rule(sizes, values)) is not None
            for tensor, axis in places
        ]
        if not found:
            return None
        self.alternatives.append(found)
        return found[0]

    def disagreements(self, shapes: Mapping[str, Shape]) -> int:
        """How many numbers another explanation would change, at sizes that are not among the samples."""
        return sum(len({_of(source, shapes) for source in found}) > 1 for found in self.alternatives)


def _of(source: SizeOf, shapes: Mapping[str, Shape]) -> int | None:
    try:
        return source.of(int(shapes[source.tensor][source.axis] or 0))
    except (KeyError, ValueError):
        return None


def _same(sizes: tuple[int, ...], values: tuple[int, ...]) -> dict[str, Any] | None:
    return {} if sizes == values else None


def _linear(sizes: tuple[int, ...], values: tuple[int, ...]) -> dict[str, Any] | None:
    """A linear rule through all samples."""
    pairs = sorted(set(zip(sizes, values, strict=True)))
    (x, y), (x1, y1) = pairs[0], pairs[-1]
    if x == x1:
        return None
    slope = Fraction(y1 - y, x1 - x)
    p, q = slope.numerator, slope.denominator
    if q > LARGEST_DIVISOR or any(q * v - p * s != q * y - p * x for s, v in pairs):
        return None
    return {"times": p, "plus": q * y - p * x, "over": q}


def _rounded(sizes: tuple[int, ...], values: tuple[int, ...]) -> dict[str, Any] | None:
    """The rule (size + plus) / over, rounded down, unless the samples leave several such rules."""
    found = []
    for over in range(2, LARGEST_DIVISOR + 1):
        least = max(over * v - s for s, v in zip(sizes, values, strict=True))
        most = min(over * v + over - 1 - s for s, v in zip(sizes, values, strict=True))
        found += [(over, plus) for plus in range(least, most + 1)]
        if len(found) > 1:
            return None
    return {"plus": found[0][1], "over": found[0][0], "exact": False} if found else None


def explain(node: Node, versions: Sequence[Node], samples: Samples) -> list[str]:
    """Make ``node`` right for other sizes; returns the attributes whose numbers nothing explains.

    Args:
        versions: the node at each size, the first equal to ``node``.
    """
    unexplained = []
    for name in [
        n for n in versions[0].attrs if any(v.attrs[n] != versions[0].attrs[n] for v in versions[1:])
    ]:
        values = [v.attrs[name] for v in versions]
        if name in node.attrs and not (
            _by_op(node, name, values, versions, samples) or _by_following(node, name, values, samples)
        ):
            unexplained.append(name)
    return unexplained


def _by_op(
    node: Node, name: str, values: list[list[int]], versions: Sequence[Node], samples: Samples
) -> bool:
    """Explain numbers by what the op itself can say: a scale, the rest, the whole image."""
    if node.op not in _BY_OP:
        return False
    images = [shapes[node.inputs[0]][2:] for shapes in samples.shapes]
    found = _BY_OP[node.op](node, name, values, list(zip(versions, images, strict=True)))
    if found is not None:
        node.op, node.attrs = found
    return found is not None


def _by_scale(node: Node, name: str, values: list[list[int]], versions: Versions) -> Explained:
    """A resize to a size that is a multiple of the image's."""
    if name != "size":
        return None
    scales = {
        tuple(v / int(n or 1) for v, n in zip(value, image, strict=True))
        for value, (_, image) in zip(values, versions, strict=True)
    }
    if len(scales) > 1:
        return None
    others = {key: v for key, v in node.attrs.items() if key != "size"}
    return node.op, others | {"scale": list(*scales)}


def _by_the_rest(node: Node, _name: str, values: list[list[int]], _versions: Versions) -> Explained:
    """A reshape in which one size is what the others leave."""
    if len({len(value) for value in values}) > 1:
        return None
    differing = [i for i in range(len(values[0])) if len({value[i] for value in values}) > 1]
    if len(differing) > 1:
        return None
    return node.op, {"shape": [-1 if i == differing[0] else size for i, size in enumerate(values[0])]}


def _by_whole_image(_node: Node, _name: str, _values: list[list[int]], versions: Versions) -> Explained:
    """A maximum over one window, which is the image."""
    if any(v.attrs["kernel"] != [*image] or v.attrs["stride"] != [*image] for v, image in versions):
        return None
    return "reduce", {"kind": "max", "axes": [2, 3], "keepdims": True}


_BY_OP: dict[str, Callable[[Node, str, list[list[int]], Versions], Explained]] = {
    "resize": _by_scale,
    "reshape": _by_the_rest,
    "max_pool2d": _by_whole_image,
}


def _by_following(node: Node, name: str, values: list[object], samples: Samples) -> bool:
    """Explain every number that differs by a size that it follows from."""
    lists = [value if isinstance(value, list) else [value] for value in values]
    if len({len(numbers) for numbers in lists}) != 1:
        return False
    if any(not isinstance(n, int) or isinstance(n, bool) for numbers in lists for n in numbers):
        return False
    columns = list(zip(*lists, strict=True))
    found = _same_padding(node, columns, samples) if name == "padding" and "stride" in node.attrs else {}
    for place, column in enumerate(columns):
        if len(set(column)) > 1 and place not in found:
            source = samples.source(node, column)
            if source is None:
                return False
            found[place] = source
    node.follows[name] = found
    return True


def _same_padding(node: Node, columns: list[tuple[int, ...]], samples: Samples) -> dict[int, SizeOf]:
    """Padding so that ceil(size / stride) rows come out: it follows from the remainder of the size."""
    found = {}
    for i in range(2):
        stride, least = _window(node, i, samples)
        sizes, varies = (
            samples.sizes(node.inputs[0], i + 2),
            len({*zip(columns[i], columns[i + 2], strict=True)}) > 1,
        )
        fitting = _fitting(sizes, columns[i], columns[i + 2], stride, least) if varies and least >= 0 else []
        for place in (i, i + 2) if fitting else ():
            ways = [
                SizeOf(node.inputs[0], i + 2, -1, least + ((place == i + 2) == upper), 2, stride, exact=False)
                for upper in fitting
            ]
            samples.alternatives.append(ways)
            found[place] = ways[0]
    return found


def _window(node: Node, i: int, samples: Samples) -> tuple[int, int]:
    """Stride of a window, and by how much it is larger than that."""
    kernel = node.attrs.get("kernel") or [int(d or 0) for d in samples.shapes[0][node.inputs[1]][2:]]
    stride = node.attrs["stride"][i]
    return stride, node.attrs.get("dilation", [1, 1])[i] * (kernel[i] - 1) + 1 - stride


def _fitting(
    sizes: Sequence[int], before: Sequence[int], after: Sequence[int], stride: int, least: int
) -> list[bool]:
    """Whether padding is that of SAME_UPPER (True) or SAME_LOWER (False): which of them it may be."""
    totals = [max(0, least + -size % stride) for size in sizes]
    halves = {True: [(t // 2, t - t // 2) for t in totals], False: [(t - t // 2, t // 2) for t in totals]}
    return [upper for upper, pads in halves.items() if pads == list(zip(before, after, strict=True))]


@dataclass(frozen=True)
class Doubt:
    """A size that was never met: of a tensor's dimension, by its remainder."""

    tensor: str
    axis: int
    modulo: int
    remainder: int


def doubts(graph: Graph, samples: Samples) -> list[Doubt]:
    """Sizes at which a padding that has been the same so far could be another: it may be what SAME came to."""
    found = []
    for node in graph.nodes:
        if not {"stride", "padding"} <= node.attrs.keys():
            continue
        known = {place % 2 for place in node.follows.get("padding", ())}
        for i in {0, 1} - known:
            stride, least = _window(node, i, samples)
            sizes = samples.sizes(node.inputs[0], i + 2)
            before, after = ([node.attrs["padding"][place]] * len(sizes) for place in (i, i + 2))
            if len(set(sizes)) > 1 and _fitting(sizes, before, after, stride, least):
                seen = {size % stride for size in sizes}
                found += [
                    Doubt(node.inputs[0], i + 2, stride, r)
                    for r in range(stride)
                    if r not in seen and max(0, least + -r % stride) != before[0] + after[0]
                ]
    return found
