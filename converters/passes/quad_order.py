"""An order of channels in which those that are used at the same places stand together, four by four."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sparsenet.graph.types import QUAD

Words = npt.NDArray[np.uint64]
#: Passes over all pairs of quads at most; most networks need two or three.
MOST_PASSES = 4
#: Quads times words beyond which pairs are not tried: greedy alone is within some percent.
MOST_WORK = 2**15


def quads_used(used: npt.NDArray[np.bool_], order: npt.NDArray[np.intp]) -> int:
    """How many quads are used, of these channels in this order: ``used`` (C, places)."""
    padded = np.pad(used[order], ((0, -len(order) % QUAD), (0, 0)))
    return int(padded.reshape(-1, QUAD, used.shape[1]).any(axis=1).sum())


def least_quads(used: npt.NDArray[np.bool_]) -> int:
    """How many quads are used at least, in any order: ``used`` (C, places)."""
    return int(-(-used.sum(axis=0, dtype=np.int64) // QUAD).sum())


def quad_order(used: npt.NDArray[np.bool_]) -> npt.NDArray[np.intp]:
    """An order of the channels that leaves few quads used: greedy, then exchanges between quads while they help.

    The busiest channel that is left takes the three that are used most where those before are. The last quad is short
    if the channels are no multiple of four. The same input always gives the same order.

    Args:
        used: (C, places), whether a channel is used at a place.
    """
    channels = len(used)
    if channels <= QUAD:
        return np.arange(channels)
    bits = _packed(np.pad(used, ((0, -channels % QUAD), (0, 0))))  # channels that fill up are used nowhere
    quads = _greedy(bits)
    if len(quads) * bits.shape[1] <= MOST_WORK:
        _exchange(bits, quads)
    filled = (quads >= channels).any(axis=1)  # quads with channels that fill up belong to the end
    order = np.concatenate([quads[~filled], quads[filled]]).reshape(-1)
    order = order[order < channels]
    return order.astype(np.intp)


def _packed(used: npt.NDArray[np.bool_]) -> Words:
    whole = np.pad(used, ((0, 0), (0, -used.shape[1] % 64)))
    return np.ascontiguousarray(np.packbits(whole, axis=1)).view(np.uint64)


def _count(bits: Words) -> npt.NDArray[np.int64]:
    return np.bitwise_count(bits).sum(axis=-1, dtype=np.int64)


def _greedy(bits: Words) -> npt.NDArray[np.int64]:
    own, free = _count(bits), np.arange(len(bits))
    quads = []
    while len(free):
        union, quad = np.zeros_like(bits[0]), []
        for place in range(QUAD):
            more = -own[free] if place == 0 else _count(union | bits[free]) - own[free]
            at = int(np.argmin(more))
            quad.append(int(free[at]))
            union = union | bits[free[at]]
            free = np.delete(free, at)
        quads.append(quad)
    return np.array(quads)


def _exchange(bits: Words, quads: npt.NDArray[np.int64]) -> None:
    """Exchange channels of two quads as long as that leaves fewer used; changes ``quads``."""
    others = [[j for j in range(QUAD) if j != i] for i in range(QUAD)]
    for _ in range(MOST_PASSES):
        better = False
        members = bits[quads]  # quad, place, word
        rest = np.bitwise_or.reduce(members[:, others], axis=2)  # a quad without each of its places
        cost = _count(np.bitwise_or.reduce(members, axis=1))
        for g in range(len(quads) - 1):
            while True:
                theirs = slice(g + 1, len(quads))
                mine = _count(
                    rest[g][None, :, None] | members[theirs][:, None]
                )  # other quad, my place, its place
                its = _count(rest[theirs][:, None] | members[g][None, :, None])
                gain = cost[g] + cost[theirs, None, None] - mine - its
                best = int(np.argmax(gain))
                if gain.reshape(-1)[best] <= 0:
                    break
                h, a, b = (int(index) for index in np.unravel_index(best, gain.shape))
                h += g + 1
                quads[g, a], quads[h, b] = quads[h, b], quads[g, a]
                for quad in (g, h):
                    members[quad] = bits[quads[quad]]
                    rest[quad] = np.bitwise_or.reduce(members[quad][others], axis=1)
                    cost[quad] = _count(np.bitwise_or.reduce(members[quad], axis=0))
                better = True
        if not better:
            return
