"""ATen calls on tensors that do not have the batch in front → graph nodes. No torch import.

The rules of all operations are written for tensors with the batch as dimension 0. A sample (see ``batch_axis``) is such
a tensor too, of one dimension more: here is decided where an operation leaves the batch, and its rule sees axes that
count that dimension.
"""

from __future__ import annotations

from typing import Any

from converters.builder import Unsupported
from converters.torch.moved import Moved
from converters.torch.moves import MOVES, along, elementwise, images
from converters.torch.ops import activations, arithmetic, choice, logic, reduce, shapes


def across(call: Moved) -> Any:
    """Results of a call on samples.

    Raises:
        Unsupported: it mixes images of the batch, or has no counterpart.
    """
    if call.counted and call.name not in _SIZED:
        raise Unsupported("a number it needs depends on the batch size")
    special = MOVES.get(call.name)
    if special is not None:
        return special(call)
    if call.rule in _IMAGE_RULES:
        return images(call)
    if "dim" in call.args:
        return along(call)
    if call.rule in _NUMBER_RULES:
        return elementwise(call)
    return images(call)


#: Operations that may have numbers that depend on the batch among their arguments.
_SIZED = frozenset(
    (
        "view",
        "_unsafe_view",
        "reshape",
        "flatten",
        "unflatten",
        "expand",
        "slice",
        "split",
        "split_with_sizes",
    )
)


def takes_constants(target: str) -> bool:
    """Whether a constant of the batch's size may stay one, of size 1 for the batch: it is joined or broadcast."""
    return target == "cat.default" or _NAMED.get(target) in _NUMBER_RULES


#: Rules that take the axis behind the batch for the channels.
_CHANNELS = ("prelu.default", "_prelu_kernel.default", "channel_shuffle.default")
_NUMBERS = {
    **activations.RULES,
    **arithmetic.RULES,
    **reduce.RULES,
    **logic.RULES,
    **choice.RULES,
}
_NAMED = {**_NUMBERS, **shapes.RULES}
_IMAGE_RULES = [_NAMED[name] for name in _CHANNELS]
_NUMBER_RULES = list(_NUMBERS.values())
