"""The engine in environments that hold nothing but its own dependencies, on every CPython found here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import sparsenet
from converters import from_torch
from sparsenet.cli import SECTIONS
from tests.full import chosen

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[1]
CURRENT = f"{sys.version_info.major}.{sys.version_info.minor}"
FRAMEWORKS = ("torch", "onnx", "onnxruntime", "scipy", "PIL", "matplotlib", "tqdm", "accelerate")

LOAD_AND_RUN = """
import importlib, sys
import numpy as np
folder, frameworks = sys.argv[1], sys.argv[2:]
for name in frameworks:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        continue
    sys.exit(f"{name} is installed: the environment is not clean")
import sparsenet
from sparsenet.detection import Decoder, prior_boxes
priors = prior_boxes(64, 64)
assert len(Decoder()(*(np.zeros((len(priors), n), np.float32) for n in (4, 2, 10)), priors)) > 0
assert sparsenet.__file__.startswith(sys.prefix), sparsenet.__file__
x, expected = np.load(f"{folder}/x.npy"), np.load(f"{folder}/expected.npy")
for threads in (1, 2):
    y = sparsenet.load(f"{folder}/model.safetensors", threads=threads)(x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
print("equal")
"""


@dataclass(frozen=True)
class CleanEnvironment:
    """A virtual environment with the wheel and the engine's dependencies, and a folder to work in."""

    folder: Path

    def python(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run(self.folder / "venv/bin/python", "-I", *arguments, cwd=self.folder)

    def sparsenet(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return run(self.folder / "venv/bin/sparsenet", *arguments, cwd=self.folder)


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV_", "PYTEST_"))}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)


def checked(*command: str | Path, cwd: Path) -> None:
    result = run(*command, cwd=cwd)
    assert result.returncode == 0, f"{' '.join(map(str, command))}\n{result.stdout}\n{result.stderr}"


def interpreter(version: str) -> str | None:
    """A working CPython of that minor version: this one, one on PATH, or one of pyenv's."""
    if version == CURRENT:
        return sys.executable
    name = f"python{version}"
    candidates = [shutil.which(name), *sorted(Path.home().glob(f".pyenv/versions/{version}*/bin/{name}"))]
    question = "import sys, venv; print(sys.implementation.name, *sys.version_info[:2])"
    for candidate in filter(None, candidates):
        answer = subprocess.run([candidate, "-c", question], capture_output=True, text=True)
        if answer.stdout.split() == ["cpython", *version.split(".")]:
            return str(candidate)
    return None


#: In the short suite one that the other tests do not run on, if there is one.
OTHERS = [version for version in ("3.13", "3.11") if version != CURRENT and interpreter(version)]
VERSIONS = chosen([*OTHERS, CURRENT][:1], sorted({CURRENT, "3.11", "3.12", "3.13"}))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that no file of an earlier build gets in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in ("sparsenet", "converters", "training", "bench"):
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    checked(sys.executable, "-m", "pip", "wheel", "-qq", "--no-deps", "-w", out, source, cwd=out)
    (built,) = out.glob("sparsenet-*.whl")
    return built


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a pruned, converted model, an input and what PyTorch answers to it."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.BatchNorm2d(16),
        nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False),
        nn.Conv2d(16, 32, 1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 4),
    ).eval()
    with torch.no_grad():
        network[4].weight *= torch.rand(network[4].weight.shape) > 0.8
        x = torch.randn(2, 3, 32, 32)
        expected = network(x)
    sparsenet.save(from_torch(network, x), folder / "model.safetensors")
    np.save(folder / "x.npy", x.numpy())
    np.save(folder / "expected.npy", expected.numpy())
    return folder


@pytest.fixture(scope="module", params=VERSIONS)
def environment(
    request: pytest.FixtureRequest, wheel: Path, model: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[CleanEnvironment]:
    python = interpreter(request.param)
    if python is None:
        pytest.skip(f"no CPython {request.param} on PATH or in ~/.pyenv/versions")
    folder = tmp_path_factory.mktemp(f"python{request.param}")
    shutil.copytree(model, folder, dirs_exist_ok=True)
    checked(python, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    # Its own pip, where it has one: an old pip cannot drive a Python that is newer than itself.
    has_pip = run(python, "-m", "pip", "--version", cwd=folder).returncode == 0
    pip = (python if has_pip else sys.executable, "-m", "pip", "--python", folder / "venv/bin/python")
    # Of thousands of files the tests import some hundreds, and Python compiles those by itself.
    checked(*pip, "install", "-qq", "--no-compile", "-c", ROOT / "constraints.txt", wheel, cwd=folder)
    yield CleanEnvironment(folder)
    shutil.rmtree(folder)


def test_a_converted_model_runs_and_equals_pytorch(environment: CleanEnvironment) -> None:
    result = environment.python("-W", "error", "-c", LOAD_AND_RUN, environment.folder, *FRAMEWORKS)
    assert result.stdout == "equal\n", result.stderr


def test_the_command_line_runs_the_model(environment: CleanEnvironment) -> None:
    folder = environment.folder
    result = environment.sparsenet("run", "model.safetensors", "--input", "x.npy", "--output", "y.npz")
    assert result.returncode == 0, result.stderr
    (y,) = np.load(folder / "y.npz").values()
    np.testing.assert_allclose(y, np.load(folder / "expected.npy"), rtol=1e-4, atol=1e-5)


def test_a_compiled_bundle_runs_where_numba_is_gone(environment: CleanEnvironment) -> None:
    folder = environment.folder
    compiled = environment.sparsenet("compile", "model.safetensors", "-o", "bundle", "--threads", "2")
    assert compiled.returncode == 0, compiled.stderr
    program = (
        "import sys; sys.modules.update(dict.fromkeys(['numba', 'llvmlite', 'safetensors', 'click']))\n"
        "import numpy as np, sparsenet\n"
        "np.save('y.npy', sparsenet.load('bundle')(np.load('x.npy')))"
    )
    result = environment.python("-W", "error", "-c", program)
    assert result.returncode == 0, result.stderr
    expected = np.load(folder / "expected.npy")
    np.testing.assert_allclose(np.load(folder / "y.npy"), expected, rtol=1e-4, atol=1e-5)


# What follows is the same whatever the interpreter.
one_environment = pytest.mark.parametrize("environment", chosen(VERSIONS[:1], VERSIONS), indirect=True)


@one_environment
def test_help_lists_every_command(environment: CleanEnvironment) -> None:
    result = environment.sparsenet("--help")
    assert result.returncode == 0, result.stderr
    listed = {
        line.split()[0] for line in result.stdout.splitlines() if line.startswith("  ") and line.split()
    }
    assert listed >= {name for section in SECTIONS.values() for name in section}


@one_environment
@pytest.mark.parametrize(
    "arguments, extra",
    [
        (["demo"], "train"),
        (["train", "maskcnn", "-o", "weights"], "train"),
        (["distill", "maskcnn", "--teacher", "teacher", "-o", "weights"], "train"),
        (["prune", "maskcnn", "-o", "weights"], "train"),
        (["evaluate", "weights"], "train"),
        (["train-detector", "retinaface-resnet50", "-o", "weights"], "train"),
        (["evaluate-detector", "weights"], "train"),
        (["lottery", "maskcnn", "-o", "tickets"], "train"),
        (["detect", "model.safetensors", "face.png"], "images"),
        (["convert", "network.onnx", "-o", "network.safetensors"], "onnx"),
        (["run", "model.safetensors", "--input", "face.png"], "images"),
        (["explain", "model.safetensors", "--plot", "schedule.png"], "plot"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_missing_extra_is_named_in_one_line(
    environment: CleanEnvironment, arguments: list[str], extra: str
) -> None:
    for name in ("network.onnx", "face.png"):
        (environment.folder / name).touch()
    result = environment.sparsenet(*arguments)
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert line.endswith(
        f"needs the extra '{extra}': pip install '.[{extra}]' in the folder of sparsenet's source"
    )
