"""--device cuda on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import sparsenet
from sparsenet.commands.explain import explain
from sparsenet.commands.profile import profile
from sparsenet.commands.run import run
from sparsenet.errors import InputError
from tests.sparsenet.sample_graphs import tiny_graph


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "tiny.safetensors"
    sparsenet.save(tiny_graph(), path)
    return str(path)


def test_run_gives_what_the_cpu_gives(model: str) -> None:
    arguments = [model, "--random", "--batch", "2", "--json", "--device"]
    on_gpu, on_cpu = (
        json.loads(CliRunner().invoke(run, [*arguments, device], catch_exceptions=False).output)
        for device in ("cuda", "cpu")
    )
    assert [output["output"] for output in on_gpu] == ["logits", "pooled"]
    for a, b in zip(on_gpu, on_cpu, strict=True):
        assert a["max"] == pytest.approx(b["max"], rel=1e-5)


def test_explain_and_profile(model: str) -> None:
    choices = json.loads(CliRunner().invoke(explain, [model, "--device", "cuda", "--json"]).output)
    assert {"cuda" in choice["kernel"] for choice in choices if choice["kernel"] != "none"} == {True}
    times = json.loads(
        CliRunner().invoke(profile, [model, "--device", "cuda", "--runs", "1", "--json"]).output
    )
    assert [layer["layer"] for layer in times["layers"]] == ["input", "conv", "pool", "fc", "output"]


def test_a_gpu_has_no_schedule_to_show(model: str) -> None:
    with pytest.raises(InputError, match="layer by layer"):
        CliRunner().invoke(explain, [model, "--device", "cuda", "--schedule"], catch_exceptions=False)
