"""Where the weights of a lottery ticket start from, and the hook that remembers an early step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sparsenet.checks import one_of, whole_number
from sparsenet.errors import InputError
from training.pruning.prunable import unwrap


@dataclass(frozen=True)
class Rewind:
    """What the weights that survive are set back to before the next level.

    ``to`` is "initial": what they started from (Frankle and Carbin 2019, The Lottery Ticket Hypothesis, section 1);
    "early": what they were after ``step`` optimizer steps of the dense network, from where training goes on (Frankle,
    Dziugaite, Roy and Carbin 2020, Linear Mode Connectivity and the Lottery Ticket Hypothesis, section 4); "fresh": new
    random values, so that only the masks are handed on.
    """

    to: Literal["initial", "early", "fresh"] = "initial"
    step: int = 0

    def __post_init__(self) -> None:
        one_of(self.to, "to", ("initial", "early", "fresh"))
        whole_number(self.step, "step", least=0)
        if (self.step > 0) != (self.to == "early"):
            raise InputError(f"a step of 1 and more goes with early weights; got '{self.to}' and {self.step}")


class Snapshot:
    """Training hook that keeps a copy of all parameters and buffers as they are after one step."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.state: dict[str, Tensor] | None = None

    def after_step(self, step: int, model: nn.Module) -> None:
        """Copy if this is the step."""
        if step == self.step:
            self.state = {
                name: tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
                for name, tensor in unwrap(model).state_dict().items()
            }

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: the copy, once it is taken."""
        return {"step": self.step, "state": self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self.step, self.state = state["step"], state["state"]
