"""Memory for intermediate tensors: slots that tensors with disjoint lifetimes take in turn.

A slot begins with a guard that nobody writes, so it stays zero: the padding in front of channel 0 of whatever the slot
holds. That is why whole slots are shared, not addresses.
"""

from __future__ import annotations

from collections.abc import Sequence

from sparsenet.plan.arena import Buffer
from sparsenet.targets.cuda.layout import LINE_FLOATS, round_up


def place(buffers: Sequence[Buffer], guard: int) -> int:
    """Give every tensor an offset; returns the size of all slots, a guard behind the last one included; all in floats.

    In order of their first launch, each takes the smallest free slot that holds it, or else the largest free one,
    enlarged.
    """
    guard = round_up(guard, LINE_FLOATS)
    slots: list[list[Buffer]] = []
    for tensor in sorted(buffers, key=lambda t: t.first):
        free = [slot for slot in slots if max(t.last for t in slot) < tensor.first]
        fitting = [slot for slot in free if _size(slot) >= tensor.size]
        if fitting:
            min(fitting, key=_size).append(tensor)
        elif free:
            max(free, key=_size).append(tensor)
        else:
            slots.append([tensor])
    end = guard
    for slot in slots:
        for tensor in slot:
            tensor.offset = end
        end = round_up(end + _size(slot), LINE_FLOATS) + guard
    return end


def _size(slot: list[Buffer]) -> int:
    return max(tensor.size for tensor in slot)
