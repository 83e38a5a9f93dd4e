"""C libraries compute what the engine computes: on this machine, and on 64-bit Arm under emulation."""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from sparsenet import Engine, Graph, TensorInfo
from sparsenet.c_library import Library, compile_c
from sparsenet.graph.feeds import image_shape
from sparsenet.targets.cpu.runtime import jit
from tests.full import FULL
from tests.sparsenet.quantized import quantized
from tests.sparsenet.sample_graphs import minixception

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-pedantic", "-Werror"]
ARM = ("aarch64-linux-gnu-gcc", "qemu-aarch64")


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"no {name} on PATH")
    return found


def small_graph() -> Graph:
    """A MiniXception with 80 % zeros over 3×32×32: dense, sparse and depthwise convolutions, pools, an addition."""
    graph = minixception((16,))
    graph.inputs = [TensorInfo("input", (None, 3, 32, 32))]
    graph.verify()
    return graph


def run(*command: str | Path) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.returncode, done.stdout, done.stderr)
    return done.stdout


def run_test(library: Library, folder: Path) -> str:
    """What ``NAME_test`` prints, on this machine or under emulation."""
    arm = library.machine.triple.startswith("aarch64") and platform.machine() != "aarch64"
    compiler = tool(ARM[0] if arm else "gcc")
    emulator = [tool(ARM[1]), "-cpu", "max", "-L", "/usr/aarch64-linux-gnu"] if arm else []
    program = folder / "program"
    source, archive = folder / f"{library.name}_test.c", folder / f"lib{library.name}.a"
    run(compiler, "-O1", "-std=c99", *WARNINGS, "-o", program, source, archive, "-lm")
    return run(*emulator, program)


@pytest.mark.parametrize(
    "target", ["aarch64-linux", *(["x86-64-v2"] if FULL and platform.machine() == "x86_64" else [])]
)
def test_float32(target: str, tmp_path: Path) -> None:
    assert "from what was expected" in run_test(
        compile_c(small_graph(), tmp_path, target, name="net"), tmp_path
    )


@pytest.mark.parametrize("cpu", ["cortex-a76", *(["cortex-a53", "neoverse-v1"] if FULL else [])])
def test_integers_are_exact(cpu: str, tmp_path: Path) -> None:
    """By every instruction that multiplies bytes: int32 sums, and one rounding."""
    library = compile_c(quantized(small_graph()), tmp_path, cpu=cpu, name="net")
    assert any("u8x4_conv" in kernel.name for kernel in library.plan.used_kernels)
    assert "output: 0 from what was expected" in run_test(library, tmp_path)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a library for this machine."""
    if platform.machine() != "x86_64" or "avx2" not in jit.cpu_features():
        pytest.skip("this CPU is no x86-64-v3")
    folder = tmp_path_factory.mktemp("library")
    compile_c(small_graph(), folder, "x86-64-v3", name="net")
    return folder


class Loaded:
    """The shared library in a folder, with arrays for one image."""

    def __init__(self, folder: Path, graph: Graph) -> None:
        tool("ld")
        self.library = ctypes.CDLL(str(folder / "libnet.so"))
        text = (folder / "net.h").read_text()
        self.bytes = int(text.split("NET_ARENA_BYTES ")[1].split("u")[0])
        self.library.net_init.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t]
        self.library.net_run.argtypes = [ctypes.c_void_p] * 3
        rng = np.random.default_rng(0)
        self.image = rng.standard_normal((1, *image_shape(graph.inputs[0]))).astype(np.float32)
        self.output = np.zeros(4, np.float32)

    def run(self, context: ctypes.Array[ctypes.c_void_p], image: int | None = None) -> int:
        address = self.image.ctypes.data if image is None else image
        return int(self.library.net_run(ctypes.addressof(context), address, self.output.ctypes.data))


def aligned(size: int) -> np.ndarray:
    block = np.full(size + 64, 255, np.uint8)
    start = -block.ctypes.data % 64
    return block[start : start + size]


def test_shared_library_with_two_contexts(here: Path) -> None:
    graph = small_graph()
    net, expected = Loaded(here, graph), Engine(graph, threads=1)
    contexts = [(ctypes.c_void_p * 1)() for _ in range(2)]
    arenas = [aligned(net.bytes) for _ in contexts]
    for context, arena in zip(contexts, arenas, strict=True):
        assert net.run(context) == -3, "not initialized"
        assert net.library.net_init(ctypes.addressof(context), arena.ctypes.data, net.bytes) == 0
    for context in (*contexts, *contexts):
        net.image *= 0.5
        assert net.run(context) == 0
        np.testing.assert_allclose(net.output, expected(net.image)[0], rtol=1e-4, atol=1e-5)
    assert net.run(contexts[0], 0) == -1
    for address, size in ((arenas[0].ctypes.data, net.bytes - 1), (arenas[0].ctypes.data + 4, net.bytes)):
        assert net.library.net_init(ctypes.addressof(contexts[0]), address, size) == -2
    assert net.library.net_init(ctypes.addressof(contexts[0]), None, net.bytes) == -1


def test_arena_is_exact(here: Path) -> None:
    """Nothing is written beside it, nor beside the output."""
    graph = small_graph()
    net = Loaded(here, graph)
    block, output = aligned(net.bytes + 128), np.full(4 + 64, 7, np.float32)
    context = (ctypes.c_void_p * 1)()
    assert net.library.net_init(ctypes.addressof(context), block.ctypes.data + 64, net.bytes) == 0
    net.output = output[32:]
    assert net.run(context) == 0
    assert (block[:64] == 255).all()
    assert (block[64 + net.bytes :] == 255).all()
    assert (output[:32] == 7).all()
    assert (output[36:] == 7).all()


def test_header_and_archive_suit_c_and_cpp_and_two_networks(here: Path, tmp_path: Path) -> None:
    """One program of two libraries, in C++; the archive is as ``ar`` reads it."""
    other = tmp_path / "other"
    compile_c(small_graph(), other, "x86-64-v3", name="second")
    program = tmp_path / "main.cpp"
    program.write_text(
        '#include "net.h"\n#include "second.h"\n'
        "int main() { return net_init(nullptr, nullptr, 0) == second_init(nullptr, nullptr, 0) ? 0 : 1; }\n"
    )
    libraries = [here / "libnet.a", other / "libsecond.a"]
    flags = ["-std=c++11", *WARNINGS, f"-I{here}", f"-I{other}"]
    run(tool("g++"), *flags, "-o", tmp_path / "main", program, *libraries)
    run(tmp_path / "main")
    run(tool("gcc"), "-std=c99", *WARNINGS, "-fsyntax-only", here / "net.h")
    assert run(tool("ar"), "t", libraries[0]).split() == ["sparsenet.o"]
    defined = [
        line.split()[-1] for line in run(tool("nm"), "-g", "--defined-only", libraries[0]).splitlines()[2:]
    ]
    assert defined == ["net_init", "net_run"]


def test_without_a_linker_there_is_no_shared_library(
    here: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even an older one."""
    (tmp_path / "libnet.so").write_bytes(b"of another network")
    monkeypatch.setattr("sparsenet.c_library.write.linker_for", lambda machine: None)
    library = compile_c(small_graph(), tmp_path, "x86-64-v3", name="net")
    assert not library.shared
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "CMakeLists.txt", "libnet.a", "net.h", "net_test.c"
    ]  # fmt: skip
    assert (tmp_path / "libnet.a").read_bytes() == (here / "libnet.a").read_bytes()


def test_the_same_bytes_again(here: Path, tmp_path: Path) -> None:
    compile_c(small_graph(), tmp_path, "x86-64-v3", name="net")
    for file in here.glob("*.[ach]"):
        assert file.read_bytes() == (tmp_path / file.name).read_bytes(), file.name
    # Mangled names count what a process compiled before, which depends on the kernels that were kept.
    assert b"_ZN" not in (here / "libnet.a").read_bytes()
