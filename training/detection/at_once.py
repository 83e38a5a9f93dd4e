"""A detector pruned at once, and in 8-bit integers: the graphs of those variants of a sweep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from converters.pruning.equal_time import as_fast_as, thinned_like
from converters.pruning.prune import Pruned, prune
from converters.quantization.equalize import equalize
from converters.quantization.order import ordered_for_quads
from converters.quantization.quantize import quantize
from sparsenet.detection.image import letterbox
from sparsenet.graph import FloatArray, Graph
from sparsenet.latency.paired import PairedTimer
from training.checkpoint import ModelInfo
from training.detection.variants import Variant
from training.detection.widerface import AnnotatedImage


class AtOnce:
    """Prunes and quantizes one detector.

    Args:
        dense: its graph.
        info: of its weights file.
        images: what reconstruction and ranges look at, each a photograph of its own.
        spared: layers that stay dense where zeros are spread by a rule, as of ``converters.prune``.
        threads: of the engines; None takes the CPUs this process may use.
    """

    def __init__(
        self,
        dense: Graph,
        info: ModelInfo,
        images: Sequence[AnnotatedImage],
        spared: Sequence[str],
        threads: int | None,
    ) -> None:
        self.dense, self.info, self.images = dense, info, images
        self.spared, self.threads = spared, threads

    @cached_property
    def samples(self) -> list[FloatArray]:
        """The images as the detector sees them, (1, 3, H, W) each."""
        size = self.info.input_size
        mean, std = (np.array(colour, np.float32) for colour in (self.info.mean, self.info.std))
        read = (item.read() for item in self.images)
        return [letterbox(image, size, size, mean, std, frame)[0] for image, frame in read]

    @cached_property
    def timer(self) -> PairedTimer:
        """Measures in turn with the dense detector."""
        return PairedTimer(self.dense)

    def pruned(self, variant: Variant, chosen: Callable[[], Graph], state: Path) -> Graph:
        """The graph of a variant that has a ``spread``.

        Args:
            variant: which.
            chosen: the one whose zeros are spread for the same speed-up, for variants that are to be as fast.
            state: a folder for what is done.
        """
        if variant.spread == "chosen":
            return self._prune(variant, state).graph
        assert variant.spread is not None
        beside = PairedTimer(thinned_like(self.dense, chosen()))
        sparsities = as_fast_as(
            lambda graph: beside.measure(graph).speedup.median, self.dense, variant.spread, self.spared
        )
        return prune(self.dense, self.samples, sparsities, state=state, threads=self.threads).graph

    def quantized(self, graph: Graph) -> Graph:
        """A float32 graph in 8-bit integers, ranges by ``mse``, channels in the order in which zeros meet."""
        even = equalize(graph, self.samples, threads=self.threads)
        return ordered_for_quads(quantize(even, self.samples, method="mse", threads=self.threads))[0]

    def _prune(self, variant: Variant, state: Path) -> Pruned:
        return prune(
            self.dense,
            self.samples,
            variant.sparsity,
            speedup=variant.speedup or None,
            layer_ms=self.timer,
            block=variant.block,
            state=state,
            threads=self.threads,
        )
