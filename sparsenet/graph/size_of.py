"""Rules by which a number of a node follows from the size of a tensor's dimension."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SizeOf:
    """A number of the form (times · size + plus) / over, the size being that of one dimension of an earlier tensor.

    Attributes:
        tensor, axis: whose size.
        times, plus, over: whole numbers.
        modulo: if not 0, what counts of times · size is the remainder by it.
        exact: the quotient must be whole: the network is not known for other sizes. If not, it is rounded down.
    """

    tensor: str
    axis: int
    times: int = 1
    plus: int = 0
    over: int = 1
    modulo: int = 0
    exact: bool = True

    def of(self, size: int) -> int:
        """The number that follows from a size; ValueError if there is none."""
        product = self.times * size
        value, rest = divmod((product % self.modulo if self.modulo else product) + self.plus, self.over)
        if rest and self.exact:
            raise ValueError(f"{size} is not of the kind of size that it is known for")
        return value


#: Attribute → place in its list (0 for a plain number) → what it follows from.
Follows = dict[str, dict[int, SizeOf]]
