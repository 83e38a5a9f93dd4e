"""What an engine's start imports, and what it leaves until it is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import sparsenet
from tests.sparsenet.sample_graphs import minixception

#: Not for a start: what times runs, other targets, files and ways to compute, the command line.
LATER = (
    "timing",
    "targets.cpu.runtime.tune",
    "reference",
    "bundle",
    "targets.cuda.lower",
    "targets.cuda.runtime",
    "commands",
    "cli",
)


def test_loading_and_running_a_model_imports_nothing_that_measures_or_is_for_others(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    sparsenet.save(minixception(), file)
    code = (
        "import sys, sparsenet; engine = sparsenet.load(sys.argv[1], threads=1); engine.warmup()\n"
        "print(*[name.partition('.')[2] for name in sys.modules if name.startswith('sparsenet.')])\n"
        "engine.profile(*[__import__('numpy').zeros((1, *i.shape[1:]), 'f4') for i in engine.inputs], runs=1)\n"
        "print('sparsenet.timing' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code, file], capture_output=True, text=True, check=True
    ).stdout
    loaded, measures = shown.splitlines()
    assert not [
        name for name in loaded.split() if f"{name}.".startswith(tuple(f"{later}." for later in LATER))
    ]
    assert measures == "True"
