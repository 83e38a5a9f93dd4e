"""A program begun again as on an older CPU."""

from __future__ import annotations

import os
from typing import Any

import pytest

from bench.measure.older_cpu import begin_again_with_avx2
from sparsenet.errors import InputError


def test_it_begins_again_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *given: begun.append(given))
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    begin_again_with_avx2(["ours-int8", "openvino-int8"])
    ((program, arguments, variables),) = begun
    assert arguments[0] == program
    assert (variables["ONEDNN_MAX_CPU_ISA"], variables["SPARSENET_LANES"]) == ("AVX2", "8")
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    begin_again_with_avx2(["ours-int8", "openvino-int8"])
    assert len(begun) == 1


def test_not_with_an_engine_that_takes_what_there_is() -> None:
    with pytest.raises(InputError, match="ort-int8"):
        begin_again_with_avx2(["ours-int8", "ort-int8"])
