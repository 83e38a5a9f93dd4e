"""The allocator setting is accepted by glibc and harmless elsewhere."""

from __future__ import annotations

import platform
import sys

import pytest
import torch

from training.allocator import keep_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_glibc_accepts_it_and_memory_still_works() -> None:
    assert keep_freed_memory()
    assert float(torch.ones(50_000_000).sum()) == 50_000_000


def test_other_systems_go_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    assert not keep_freed_memory()
