"""RAM and flash that the report of an exported network gives are those of the linker's map."""

from __future__ import annotations

from pathlib import Path

import pytest

import sparsenet
from bench.boards.board import BOARDS
from bench.boards.emulate import compile_network, link_runs
from bench.boards.linked import section_bytes, symbol_bytes
from tests.sparsenet.quantized import quantized
from tests.sparsenet.targets.c99.networks import separable_net

M7 = BOARDS["cortex-m7"]


@pytest.mark.skipif(M7.missing is not None, reason=str(M7.missing))
@pytest.mark.parametrize("values, level", [("f32", "-O2"), ("i8", "-Os"), ("int8", "-O3")])
def test_the_report_says_what_the_linker_does(tmp_path: Path, values: str, level: str) -> None:
    graph = quantized(separable_net()) if values == "int8" else separable_net()
    stored = "f32" if values == "int8" else values
    exported = sparsenet.export_c(graph, tmp_path, name="face", values=stored, target="cortex-m")
    ram, flash = exported.report["ram"], exported.report["flash"]
    compile_network(M7, tmp_path, "face", level)
    program = link_runs(M7, tmp_path, "face", 1)
    symbols, sections = symbol_bytes(M7, program), section_bytes(program.with_suffix(".map"))
    assert (symbols["arena"], symbols["ctx"]) == (ram["arena_bytes"], ram["context_bytes"])
    constants = {f"face_c{c.number}": c.flat.nbytes for c in exported.plan.constants}
    assert {name: symbols[name] for name in constants} == constants
    assert sections["face_weights.o", ".rodata"] == flash["constant_bytes"] == sum(constants.values())
    assert sum(layer["bytes"] for layer in flash["layers"]) == flash["constant_bytes"]
    tables = [size for (file, kind), size in sections.items() if (file, kind) == ("face.o", ".rodata")]
    assert sum(tables) == flash["table_bytes"]
    written = [(file, kind) for file, kind in +sections if kind in (".data", ".bss") and "face" in file]
    assert not written, "a network has no memory but its context and arena"
