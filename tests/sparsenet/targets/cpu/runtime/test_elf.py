"""The loader of object files, on what Numba makes: the same functions as LLVM's loader, and no crash on damage."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable

import numpy as np
import pytest

from sparsenet.targets.cpu.runtime import elf, jit, tape
from sparsenet.targets.registry import Kernel

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not sys.maxsize > 2**32, reason="loads objects of 64-bit Linux"
)

Loader = Callable[[bytes, str], int]


def by_elf(code: bytes, entry: str) -> int:
    (address,) = elf.load([code], [entry])
    return address


def parts(payload: bytes) -> tuple[bytes, str]:
    """The object file and the name of its function."""
    length = int.from_bytes(payload[:4], "little")
    return payload[4 + length :], payload[4 : 4 + length].decode()


@pytest.fixture(scope="module")
def code() -> tuple[bytes, str]:
    kernel = Kernel("f32_fill_none_any", 4)
    return parts(jit.payload(kernel.name, kernel.build))


@pytest.mark.parametrize("load", [by_elf, jit._load_by_llvm])
def test_a_function_does_what_it_should(load: Loader) -> None:
    stop = ctypes.CFUNCTYPE(None, ctypes.c_int64)(load(*parts(jit.payload("stop", tape.FUNCTIONS["stop"]))))
    team = np.array([6, 0, 42], np.int64)
    for _ in range(2):
        stop(team.ctypes.data)
        assert team.tolist() == [7, 0, 42]


def test_functions_of_one_name_in_several_objects_stay_apart(code: tuple[bytes, str]) -> None:
    stop, name = parts(jit.payload("stop", tape.FUNCTIONS["stop"]))
    addresses = elf.load([stop, code[0], stop], [name, code[1], name])
    assert len(set(addresses)) == 3


def test_code_is_not_writable_and_memory_not_executable_at_once(code: tuple[bytes, str]) -> None:
    address = by_elf(*code)
    with open("/proc/self/maps") as file:  # noqa: PTH123 - nothing to join
        for line in file:
            first, last = (int(word, 16) for word in line.split()[0].split("-"))
            if first <= address < last:
                assert line.split()[1].startswith("r-x")
                return
    raise AssertionError("the code is nowhere")


def test_an_unknown_entry_is_refused(code: tuple[bytes, str]) -> None:
    with pytest.raises(elf.ObjectFileError, match="no function 'main' in it"):
        by_elf(code[0], "main")


@pytest.mark.parametrize("data", [b"", b"\x7fELF", b"MZ" + bytes(200), bytes(4096)])
def test_other_files_are_refused(data: bytes) -> None:
    with pytest.raises(elf.ObjectFileError):
        by_elf(data, "main")


def test_another_machine_is_not_damage_but_left_to_llvm(code: tuple[bytes, str]) -> None:
    arm = bytearray(code[0])
    arm[18:20] = (183).to_bytes(2, "little")
    with pytest.raises(elf.UnsupportedObjectError, match="not an x86-64 object"):
        by_elf(bytes(arm), code[1])


def test_every_truncation_is_refused(code: tuple[bytes, str]) -> None:
    data, entry = code
    for length in range(0, len(data) - 64, 61):
        with pytest.raises(elf.ObjectFileError):
            by_elf(data[:length], entry)


def test_no_change_of_a_byte_crashes_the_loader(code: tuple[bytes, str]) -> None:
    data, entry = code
    rng = np.random.default_rng(0)
    headers = rng.integers(
        len(data) - 10 * 64, len(data), 400
    )  # the section table, where a byte matters most
    outcomes = set()
    for at in [*range(64), *headers.tolist(), *rng.integers(0, len(data), 300).tolist()]:
        changed = bytearray(data)
        changed[at] ^= int(rng.integers(1, 256))
        try:
            by_elf(bytes(changed), entry)  # loaded, never called
            outcomes.add("loaded")
        except elf.ObjectFileError:
            outcomes.add("refused")
    assert outcomes == {"loaded", "refused"}
