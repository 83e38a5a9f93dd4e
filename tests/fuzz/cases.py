"""A case: a seed file and the changes made to it, so that two lines of text stand for a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from tests.fuzz import check, check_c, grow, media, mutate_model, mutate_onnx, qdq, seeds


@dataclass(frozen=True)
class Kind:
    """What is fuzzed: seed files, how they are changed, what may happen to the result."""

    seeds: Callable[[], list[bytes]]
    mutate: Callable[[bytes, list[int]], bytes]
    check: Callable[[bytes, bool], str]


KINDS = {
    "model": Kind(cache(seeds.model_files), mutate_model.mutate, check.check_model_file),
    "quantized": Kind(cache(seeds.quantized_files), mutate_model.mutate_quantized, check.check_model_file),
    "c": Kind(cache(seeds.all_model_files), mutate_model.mutate_quantized, check_c.check_in_c),
    "media": Kind(cache(media.files), media.mutate, media.check),
    "onnx": Kind(cache(seeds.onnx_files), mutate_onnx.mutate, check.check_onnx),
    "quantized-onnx": Kind(cache(qdq.files), qdq.mutate, check.check_onnx),
    "large-model": Kind(cache(seeds.model_files), grow.model, check.check_model_file),
    "large-onnx": Kind(cache(seeds.onnx_files), grow.onnx_model, check.check_onnx),
}


@dataclass(frozen=True)
class Case:
    """One mutated file: which seed of which kind, and a number for every change."""

    kind: str
    seed: int
    mutations: tuple[int, ...]

    @classmethod
    def numbered(cls, kind: str, number: int) -> Case:
        """The case of this number; every number is another."""
        random = Random(f"{kind} {number}")
        seed = random.randrange(len(KINDS[kind].seeds()))
        count = random.choice((1, 1, 1, 2, 2, 3, 5, 8))
        return cls(kind, seed, tuple(random.getrandbits(48) for _ in range(count)))

    def data(self) -> bytes:
        """The file."""
        kind = KINDS[self.kind]
        return kind.mutate(kind.seeds()[self.seed], list(self.mutations))

    def check(self, run_every: int = 1) -> str:
        """What happened to it, in a word; an exception is a finding.

        Args:
            run_every: how many of the networks that load are planned and run, which takes far longer: one of so many.
        """
        return KINDS[self.kind].check(self.data(), sum(self.mutations) % run_every == 0)

    def __str__(self) -> str:
        return f"{self.kind} {self.seed} {','.join(map(str, self.mutations)) or '-'}"

    @classmethod
    def parse(cls, text: str) -> Case:
        """The case that ``str`` gave this text."""
        kind, seed, mutations = text.split()
        return cls(kind, int(seed), tuple(int(m) for m in mutations.split(",") if m != "-"))
