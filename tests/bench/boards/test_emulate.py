"""Exported C on emulated processors: right results on each, and no more instructions, code and RAM than there were."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import sparsenet
from bench.boards.board import BOARDS, Board
from bench.boards.emulate import build_plugin, compile_network, instructions, link, run
from bench.subjects.sparsity import thin_out
from sparsenet import Graph
from tests.full import FULL, chosen
from tests.sparsenet.quantized import quantized
from tests.sparsenet.sample_graphs import minixception
from tests.sparsenet.targets.c99.networks import odd_net, separable_net

#: Of MiniXception-128-256 over 96x96 pixels at 80 % zeros: board, level, values (int8: pixels, too; 1x4: zeros in
#: blocks) → M instructions, bytes of code. GCC 12; a change by more than 3 % is a mistake or to be written down here.
FIGURES = {
    ("cortex-m7", "-O2", "f32"): (95.7, 6572),
    ("cortex-m7", "-Os", "f32"): (96.1, 5500),
    ("cortex-m7", "-O3", "f32"): (95.6, 7360),
    ("cortex-m7", "-O2", "int8"): (112.8, 6288),
    ("cortex-m7", "-O2", "int8 1x4"): (59.7, 6288),
    ("cortex-m7", "-O2", "i8"): (101.2, 7364),
    ("aarch64", "-O2", "f32"): (40.3, 5840),
    ("cortex-m55", "-O2", "int8 1x4"): (23.2, 5232),
}
#: Board → the exporter's target.
TARGETS = {"aarch64": "neon", "cortex-m55": "mve"}
ALWAYS = [("cortex-m7", "-O2", "int8 1x4"), ("cortex-m7", "-Os", "f32"), ("cortex-m55", "-O2", "int8 1x4")]


def board_or_skip(name: str) -> Board:
    board = BOARDS[name]
    if board.missing:
        pytest.skip(board.missing)
    return board


def small_minixception(block: str = "1x1") -> Graph:
    graph = minixception((128, 256)).at_shapes({"input": (None, 3, 96, 96)})
    graph = thin_out(graph, 0.8, block) if block != "1x1" else graph
    graph.verify()
    return graph


@pytest.mark.parametrize("name", BOARDS)
def test_a_network_is_right_on_every_board(tmp_path: Path, name: str) -> None:
    """Whole and row by row, from images in bytes, weights in bytes; s390x is big-endian."""
    board = board_or_skip(name)
    sparsenet.export_c(separable_net(), tmp_path, name="face", values="i8", input="u8", layout="hwc")
    compile_network(board, tmp_path, "face", "-O2")
    program = link(board, tmp_path, "face", "face_test.c", "program")
    assert run(board, program) == "ok\n"


@pytest.mark.parametrize("name", chosen(("cortex-m3", "cortex-m7", "cortex-m55", "rv32", "s390x"), BOARDS))
def test_a_quantized_network_is_right_on_every_board(tmp_path: Path, name: str) -> None:
    """In integers, by SMLAD or MVE where the processor has it."""
    board = board_or_skip(name)
    target = "mve" if name == "cortex-m55" else "cortex-m"
    exported = sparsenet.export_c(quantized(separable_net()), tmp_path, name="face", target=target)
    way = "csrgroups" if target == "mve" else "csrquads"
    assert any(way in kernel.name for kernel in exported.plan.kernels)
    compile_network(board, tmp_path, "face", "-O2")
    assert run(board, link(board, tmp_path, "face", "face_test.c", "program")) == "ok\n"


@pytest.mark.parametrize("name, level", [("cortex-m55", "-Os"), ("cortex-m4", "-O0"), ("cortex-m7", "-Os")])
def test_maps_that_fill_neither_tiles_nor_quads_are_exact(tmp_path: Path, name: str, level: str) -> None:
    """All maps are results; the program's tolerance is less than a step of their grids."""
    board = board_or_skip(name)
    exported = sparsenet.export_c(
        quantized(odd_net()), tmp_path, name="face", target=TARGETS.get(name, "cortex-m")
    )
    assert not exported.plan.is_mixed
    compile_network(board, tmp_path, "face", level)
    assert run(board, link(board, tmp_path, "face", "face_test.c", "program")) == "ok\n"


@pytest.mark.parametrize("case", FIGURES if FULL else ALWAYS, ids=" ".join)
def test_instructions_and_code_stay_what_they_are(tmp_path: Path, case: tuple[str, str, str]) -> None:
    name, level, values = case
    board = board_or_skip(name)
    version = subprocess.run(
        [board.compiler, "-dumpversion"], capture_output=True, text=True, check=True
    ).stdout
    if version.strip().partition(".")[0] != "12":
        pytest.skip(f"the figures are GCC 12's, {board.compiler} is {version.strip()}")
    target, (values, *block) = TARGETS.get(name, "cortex-m"), values.split()
    graph, stored = small_minixception(*block), values
    if values == "int8":
        graph, stored = quantized(graph), "f32"
    exported = sparsenet.export_c(graph, tmp_path, name="face", values=stored, target=target)
    assert exported.report["ram"]["arena_bytes"] <= (164_000 if values == "int8" else 626_000)
    assert (
        exported.report["flash"]["constant_bytes"] <= {"f32": 565_000, "i8": 208_000, "int8": 430_000}[values]
    )
    found = compile_network(board, tmp_path, "face", level)
    millions = instructions(board, tmp_path, "face", build_plugin(tmp_path)) / 1e6
    assert (millions, found.code) == pytest.approx(FIGURES[case], rel=0.03)
