"""A board that reads images from a file answers as the engine does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench.board_answers.answers import board_answers
from bench.boards.board import BOARDS
from sparsenet import Engine, export_c
from tests.sparsenet.quantized import quantized
from tests.sparsenet.targets.c99.networks import separable_net

M7 = BOARDS["cortex-m7"]


@pytest.mark.skipif(M7.missing is not None, reason=str(M7.missing))
def test_answers_are_the_engines(tmp_path: Path) -> None:
    """To the bit in integers; of more than one batch, in their order; also where no window reaches the last row."""
    graph = separable_net(14)
    graph.nodes[0].attrs["padding"] = [0, 0, 0, 0]
    graph = quantized(graph)
    images = np.random.default_rng(0).standard_normal((3, 3, 14, 14), np.float32)
    exported = export_c(graph, tmp_path, layout="hwc", target=M7.target)
    found = list(board_answers(M7, exported, tmp_path, [images[:2], images[2:]]))
    np.testing.assert_array_equal(np.concatenate(found), Engine(graph, threads=1)(images))
