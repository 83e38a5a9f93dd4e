"""Instructions of one inference of a C library, under ``qemu-aarch64`` with a plugin that counts them."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.boards.emulate import build_plugin, tool
from sparsenet import Graph, compile_c
from sparsenet.c_library.interface import Interface
from sparsenet.errors import InputError

#: Programs that are needed, and Debian's packages of them.
TOOLS = {
    "cc": "gcc",
    "aarch64-linux-gnu-gcc": "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    "qemu-aarch64": "qemu-user",
}
#: The difference between two counts is that of so many inferences.
RUNS = 2


def require_tools() -> None:
    """Check that all programs are there.

    Raises:
        InputError: one is not.
    """
    for name, package in TOOLS.items():
        if shutil.which(name) is None:
            raise InputError(f"{name} is not installed (Debian: {package})")


def instructions(graph: Graph, cpu: str, folder: Path, *, sparse: bool = True) -> int:
    """Instructions of one inference of ``graph`` on the processor ``cpu``; ``folder`` is empty.

    Raises:
        InputError: a program is missing.
        BuildError: one fails.
    """
    require_tools()
    library = compile_c(graph, folder / "net", cpu=cpu, name="net", sparse=sparse)
    (folder / "main.c").write_text(_program(Interface.of(library.plan, "net", "")))
    files = ["main.c", "net/libnet.a", "-lm"]
    tool("aarch64-linux-gnu-gcc", "-O2", "-static", "-Inet", "-o", "program", *files, folder=folder)
    plugin, counts = build_plugin(folder), []
    for runs in (1, 1 + RUNS):
        command = ["qemu-aarch64", "-cpu", "max", "-plugin", str(plugin), "./program", str(runs)]
        tool(*command, folder=folder, environment={"INSTRUCTIONS": "count"})
        counts.append(int((folder / "count").read_text()))
    return (counts[1] - counts[0]) // RUNS


def _program(interface: Interface) -> str:
    """Runs as often as it is told, on zeros."""
    tensors = [*interface.inputs, *interface.outputs]
    arrays = "\n".join(f"static float a{i}[{tensor.size}];" for i, tensor in enumerate(tensors))
    arguments = ", ".join(f"a{i}" for i in range(len(tensors)))
    return f"""#include <stdlib.h>
#include "net.h"
static _Alignas(NET_ARENA_ALIGN) unsigned char arena[NET_ARENA_BYTES];
{arrays}
int main(int count, char **words) {{
    net_ctx ctx;
    int runs = count > 1 ? atoi(words[1]) : 0;
    if (net_init(&ctx, arena, sizeof arena) != NET_OK) return 1;
    while (runs-- > 0) if (net_run(&ctx, {arguments}) != NET_OK) return 1;
    return 0;
}}
"""
