"""Tables of 256 bytes, by every instruction that looks them up and by none."""

from __future__ import annotations

import numpy as np
import pytest

from bench.kernels.one_kernel import Map, OneKernel, aligned
from bench.kernels.one_quad_conv import bytes_of
from sparsenet.graph.types import U8, U8X4
from sparsenet.targets.cpu.runtime.jit import cpu_features
from sparsenet.targets.cpu.vector_ir import byte_table
from sparsenet.targets.host import host
from sparsenet.targets.registry import Kernel
from tests.full import chosen

LANES = [lanes for lanes in (4, 8, 16) if lanes <= host().vector().lanes]


@pytest.mark.parametrize("lanes", chosen(LANES[-1:], LANES))
@pytest.mark.parametrize("without", [set(), {"avx512vbmi"}, {"avx512vbmi", "ssse3", "avx2", "avx512bw"}])
def test_every_byte(lanes: int, without: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels are looked up, and what is none stands for 0."""
    monkeypatch.setattr(byte_table, "cpu_features", lambda: cpu_features() - without)
    kernel = Kernel("u8x4_table_none_rows", lanes, (1,))
    built = kernel.build()
    monkeypatch.setattr(Kernel, "address", lambda _: built.address)  # type: ignore[attr-defined]
    rng = np.random.default_rng(0)
    x, out = (Map(3, 2, 29, lanes, side=1, element=U8X4, fill=77) for _ in range(2))
    x.pixels[...] = rng.integers(0, 2**32, x.pixels.shape, dtype=np.uint32)
    table = aligned((256,), 0, U8)
    table[...] = rng.permutation(256)
    OneKernel(
        kernel,
        {
            "x": x.at(), "x_row": x.row_bytes, "x_channel": x.channel_bytes, "table": table, "zero": 9,
            "channels": 3, **out.lines(), **out.output(),
        },
    )()  # fmt: skip
    np.testing.assert_array_equal(bytes_of(out.pixels), table[bytes_of(x.pixels)])
    assert (bytes_of(out.rows[..., out.width :].transpose(1, 0, 2)) == 9).all(), "the halo"
