"""A few kernels of every CUDA family, for tests that look at kernels without a plan."""

from __future__ import annotations

from collections.abc import Iterator

from sparsenet.graph.ops import ACTIVATIONS
from sparsenet.targets.cuda.families import CUDA_FAMILIES, POINTWISE
from sparsenet.targets.cuda.lower.matmul import TILES as TILES_OF_PRODUCTS
from sparsenet.targets.registry import Kernel

#: Family → (floats of a load, tile) of kernels worth a look; (1, ()) where a family has no parameters.
TILES: dict[str, list[tuple[int, tuple[int, ...]]]] = {
    "f32_conv_csr_maps": [
        (4, (4, 2, 32, 1, 8)),
        (4, (1, 1, 8, 4, 8)),
        (1, (4, 8, 32, 1, 8)),
        (1, (1, 1, 16, 4, 4)),
    ],
    "f32_conv_dense_maps": [(4, (8, 1, 32, 1, 8)), (1, (8, 4, 16, 1, 16))],
    "f32_depthwise_dense_maps": [(1, (3, 3, 1, 1, 1, 1, 4)), (1, (5, 5, 2, 2, 1, 1, 2))],
    "f32_separable_csr_maps": [
        (1, (3, 3, 1, 1, 1, 1, 4, 2, 32, 8, 8192)),
        (1, (5, 5, 2, 2, 1, 1, 2, 1, 16, 16, 4096)),
    ],
    "f32_separable_dense_maps": [(1, (3, 3, 1, 1, 1, 1, 8, 4, 8, 16, 12288))],
    "f32_globalavgpool_none_maps": [(1, (8, 16))],
    "f32_broadcast_none_maps": [(1, (number,)) for number in range(10)],
    "f32_reduce_none_maps": [(1, (number,)) for number in range(4)],
    "f32_copy_none_maps": [(4, ())],
    "f32_softmax_none_maps": [(1, (1, 256)), (1, (64, 4))],
    "f32_normalize_none_maps": [(1, (8, 32)), (1, (256, 1))],
    "f32_matmul_none_maps": [(1, tile) for tile in TILES_OF_PRODUCTS],
}


def kernels() -> Iterator[Kernel]:
    """All of them, and every activation once."""
    for family in CUDA_FAMILIES:
        fused = any(word in family for word in ("conv", "depthwise"))
        words = ("affine", "add", "relu") if fused else ()
        if "separable" in family:
            words = ("clip", POINTWISE, "affine", "add", "clip")
        for lanes, tile in TILES.get(family, [(1, ())]):
            yield Kernel(family, lanes, tile, words)
    for word in ACTIVATIONS:
        yield Kernel("f32_copy_none_maps", 4, (), (word,))
