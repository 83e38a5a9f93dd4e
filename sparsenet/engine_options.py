"""The options of an Engine, checked in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sparsenet.checks import flag, one_of, whole_number

BackendName = Literal["auto", "compiled", "numpy"]
Device = Literal["cpu", "cuda", "auto"]

#: Limits far beyond any machine, so that a slip is an error and no flood of threads, plans or inferences.
MAX_THREADS, MAX_SIZES, MAX_RUNS = 1024, 2**20, 10**9


@dataclass(frozen=True)
class EngineOptions:
    """The arguments of ``Engine`` beside the graph, under the same names.

    Raises:
        InputError: one of them has the wrong type or value.
    """

    threads: int | None = None
    sparse: bool = True
    tune: bool = False
    backend: BackendName = "auto"
    sizes: int = 4
    device: Device = "cpu"

    def __post_init__(self) -> None:
        if self.threads is not None:
            object.__setattr__(self, "threads", whole_number(self.threads, "threads", MAX_THREADS))
        for name in ("sparse", "tune"):
            object.__setattr__(self, name, flag(getattr(self, name), name))
        one_of(self.backend, "backend", get_args(BackendName))
        object.__setattr__(self, "sizes", whole_number(self.sizes, "sizes", MAX_SIZES))
        one_of(self.device, "device", get_args(Device))
