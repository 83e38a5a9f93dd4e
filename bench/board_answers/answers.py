"""What an exported classifier answers on an emulated board that is shown images row by row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from bench.boards.board import FILES, Board
from bench.boards.emulate import compile_network, link, network, run
from sparsenet.graph import FloatArray
from sparsenet.targets.c99.export import Export


def board_answers(
    board: Board, exported: Export, folder: Path, images: Iterable[FloatArray]
) -> Iterator[FloatArray]:
    """The outputs (n, outputs) of a network on the board for each batch of images.

    Args:
        board: what to emulate.
        exported: a network with one image as its input, its channels together (``hwc``), and one output.
        folder: the network's.
        images: float32 (n, C, H, W), a few at a time.

    Raises:
        BuildError: a tool, or the program, failed.
    """
    compile_network(board, folder, exported.name, "-O2")
    program = link(board, folder, exported.name, FILES / "answers.c", "answering", network(exported.name))
    for shown in images:
        np.ascontiguousarray(shown.transpose(0, 2, 3, 1)).tofile(folder / "images")
        run(board, program)
        yield np.fromfile(folder / "answers", np.float32).reshape(len(shown), -1)
