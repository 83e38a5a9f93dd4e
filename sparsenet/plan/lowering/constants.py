"""Constants of a plan: packed weights and tables, each placed once however many layers read it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from sparsenet.limits import Budget

Place = TypeVar("Place")
T = TypeVar("T")


@dataclass
class Constants(ABC, Generic[Place]):
    """Arrays that a plan will hold; a target tells where each is placed."""

    _budget: Budget = field(default_factory=lambda: Budget("packed weights of the network"), init=False)
    _made: dict[Hashable, tuple[Any, Any]] = field(default_factory=dict, init=False)
    _placed: dict[int, tuple[npt.NDArray[Any], Place]] = field(default_factory=dict, init=False)

    @abstractmethod
    def _place(self, array: npt.NDArray[Any]) -> Place:
        """Put a contiguous array among the constants of the plan."""

    def once(self, make: Callable[..., T], weight: Any, *arguments: Any) -> T:
        """``make(weight, *arguments)``, made once however many layers share these weights.

        Args:
            make: a function of the module, whose result nobody changes.
            weight: a constant of the graph, dense or stored, or what ``once`` made of one: known by identity.
            arguments: arrays among them are known by their values.
        """
        key = (make, id(weight), *map(_known_by, arguments))
        if key not in self._made:
            # The weight is kept too, so that no other object gets its id.
            self._made[key] = (weight, make(weight, *arguments))
        result: T = self._made[key][1]
        return result

    def constant(self, array: npt.NDArray[Any]) -> Place:
        """Put packed weights or a table among the constants of the plan; the same array is placed once.

        Raises:
            MemoryLimitError: with the others it takes more than ``limits.memory_limit``.
        """
        if id(array) not in self._placed:
            self._budget.take(array.nbytes)
            self._placed[id(array)] = (array, self._place(np.ascontiguousarray(array)))
        return self._placed[id(array)][1]

    def table(self, numbers: npt.ArrayLike) -> Place:
        """Put int32 numbers among the constants of the plan."""
        return self.constant(np.asarray(numbers, np.int32))


def _known_by(argument: Any) -> Hashable:
    if isinstance(argument, np.ndarray):
        return argument.shape, argument.dtype.str, argument.tobytes()
    return tuple(argument) if isinstance(argument, list) else argument
