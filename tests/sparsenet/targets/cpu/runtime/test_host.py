"""What Linux says of a CPU, in the names that LLVM uses."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator

import llvmlite.binding as llvm
import pytest

from sparsenet.errors import MissingCompilerError
from sparsenet.targets.cpu.runtime import host as cpu


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    yield
    for function in (cpu.host_features, cpu.host_identity):
        function.cache_clear()


def pretend(monkeypatch: pytest.MonkeyPatch, block: dict[str, str] | None) -> None:
    monkeypatch.setattr(cpu, "_first_processor", lambda: block)
    for function in (cpu.host_features, cpu.host_identity):
        function.cache_clear()


@pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="reads /proc/cpuinfo of x86"
)
def test_linux_and_llvm_agree_on_this_machine() -> None:
    told = {name for name, present in llvm.get_host_cpu_features().items() if present}
    assert cpu.host_features() == told & set(cpu._X86_FEATURES)
    assert {"sse2", "popcnt"} <= cpu.host_features()


def test_features_of_an_older_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(
        monkeypatch,
        {"flags": "fpu sse sse2 pni ssse3 sse4_1 sse4_2 popcnt avx f16c fma avx2 bmi1 bmi2 abm hle"},
    )
    assert cpu.host_features() == {
        "sse", "sse2", "sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "avx", "f16c", "fma", "avx2", "bmi", "bmi2",
        "lzcnt",
    }  # fmt: skip


def test_other_cpus_need_llvm(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, None)
    monkeypatch.setitem(sys.modules, "llvmlite.binding", None)
    with pytest.raises(MissingCompilerError, match="install llvmlite"):
        cpu.host_features()


def test_identity_changes_with_the_cpu_and_not_with_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    block = {
        "vendor_id": "GenuineIntel",
        "cpu family": "6",
        "model": "207",
        "stepping": "2",
        "flags": "sse avx",
    }
    seen = []
    for change in ({}, {"cpu MHz": "3100"}, {"model": "143"}, {"flags": "sse"}):
        pretend(monkeypatch, block | change)
        seen.append(cpu.host_identity())
    assert seen[0] == seen[1]
    assert len(set(seen)) == 3


def test_without_cpuinfo_llvm_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, None)
    assert cpu.host_features() == {name for name, there in llvm.get_host_cpu_features().items() if there}
    assert llvm.get_host_cpu_name() in cpu.host_identity()
    assert cpu.host_name()


def test_the_platform_has_system_and_instruction_set() -> None:
    assert cpu.platform_name() == f"{sys.platform}-{platform.machine()}"
