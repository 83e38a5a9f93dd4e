"""How important is a weight? One small class per criterion, each with its source, all in one registry.

To add one, subclass ``Scorer`` under ``@register``: ``find_masks(method=name)`` and the tests pick it up from the
registry. A line in ``MODULES``, or in another package an entry point of the group ``sparsenet.pruning_methods`` that
leads to the class, lets the command line list it without importing PyTorch.

    @register
    class WeightTimesIndex(Scorer):
        name = "weight-times-index"
        citation = "paper, section"

        def score(self, problem: Problem) -> dict[str, Tensor]: ...
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from sparsenet.checks import shown
from sparsenet.entry_points import OpenTable
from sparsenet.errors import MaskError

if TYPE_CHECKING:
    from torch import Tensor

    from training.pruning.problem import Problem
    from training.pruning.scopes import Scope

#: How BatchNorm and dropout behave while a network is scored.
Mode = Literal["train", "eval", "current"]

#: Method → the module beside this one that registers it, when it is first asked for.
MODULES = {
    "l1": "magnitude",
    "random": "controls",
    "snip": "snip",
    "iterative-snip": "snip",
    "force": "snip",
    "grasp": "grasp",
    "synflow": "synflow",
}


class Scorer(ABC):
    """A criterion: ``score`` rates every weight of a ``Problem``; masks are made from scores elsewhere.

    Attributes:
        name: what ``find_masks(method=...)`` and the command line call it.
        citation: paper and section.
        needs_data: it looks at the loss on batches of samples.
        foresight: made for networks that have not been trained yet.
        scope: where its scores can be compared, and so the default of ``find_masks``: within each layer or globally.
        rounds: in how many steps it prunes unless told otherwise.
        revives: what one round has pruned, a later one may take back.
        mode: in which its authors' own code runs a fresh network while it scores; None: it runs none.
        temperature: what they divide the network's answers by before the loss.
    """

    name: ClassVar[str]
    citation: ClassVar[str]
    needs_data: ClassVar[bool] = False
    foresight: ClassVar[bool] = False
    scope: ClassVar[Scope] = "layer"
    rounds: ClassVar[int] = 1
    revives: ClassVar[bool] = False
    mode: ClassVar[Mode | None] = None
    temperature: ClassVar[float] = 1.0

    @abstractmethod
    def score(self, problem: Problem) -> dict[str, Tensor]:
        """Parameter name → scores of the parameter's shape, for every name in ``problem.weights``; higher = keep."""

    def unit_score(self, scores: Tensor, sizes: int | Tensor) -> Tensor:
        """Scores of what is kept or pruned together, (units, weights), → (units,): their mean.

        ``sizes`` is the number of weights of a unit, or of each (units,); shorter rows end in zeros. Among units of a
        size the mean ranks as the sum of Li et al. 2017 and Mao et al. 2017 does; it also compares units of different
        sizes, which a budget of weights needs.
        """
        return scores.sum(dim=1) / sizes

    def loss(self, scores: Tensor, sizes: int | Tensor) -> Tensor:
        """What the network loses with each unit of a layer, (units,), in numbers that compare between layers.

        ``scores`` are those of ``unit_score``, 0 where a unit is gone already; here, the sum of its weights' scores.
        """
        return scores * sizes


class Registry(OpenTable[Scorer]):
    """Scorers by name: those of ``MODULES``, imported when they are asked for, and all that are registered."""

    def __getitem__(self, name: str) -> Scorer:
        if name not in self.entered and name in MODULES:
            importlib.import_module(f"training.pruning.{MODULES[name]}")
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        return name in MODULES or super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*MODULES, *super().__iter__())))

    def made(self, name: str, found: Any) -> Scorer:
        """An instance of the class; MaskError unless it is a scorer of that name."""
        if not (isinstance(found, type) and issubclass(found, Scorer) and getattr(found, "name", "") == name):
            raise MaskError(
                f"the entry point '{name}' of {self.group} leads to {shown(found)}, not to a Scorer named '{name}'"
            )
        return found()

    def free(self, scorer: type[Scorer]) -> bool:
        """Whether the class may have its name: nobody has it, and it is not one of another module's here."""
        home = MODULES.get(scorer.name)
        return scorer.name not in self.entered and home in (None, scorer.__module__.rpartition(".")[2])


SCORERS = Registry("sparsenet.pruning_methods")

S = TypeVar("S", bound=type[Scorer])


def register(scorer: S) -> S:
    """Class decorator: enter a scorer in the registry under its name."""
    if not SCORERS.free(scorer):
        raise ValueError(f"a scorer named '{scorer.name}' is already registered")
    SCORERS[scorer.name] = scorer()
    return scorer


def get_scorer(name: str) -> Scorer:
    """The scorer called ``name``; MaskError lists the known ones otherwise."""
    if not isinstance(name, str) or name not in SCORERS:
        raise MaskError(f"unknown pruning method {shown(name)}; there are: {', '.join(sorted(SCORERS))}")
    return SCORERS[name]
