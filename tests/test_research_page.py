"""The researcher's page: its package is installed, found by the command line, and computes what its oracle does."""

from __future__ import annotations

import runpy
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from bench.engines import ENGINES
from sparsenet import Engine, reference
from sparsenet.cli import main
from sparsenet.graph.ops import OPS
from sparsenet.io.networks import make_network
from sparsenet.reference.registry import OPERATIONS
from sparsenet.targets.cpu.lower import LOWER
from sparsenet.targets.family import source_hash
from sparsenet.targets.registry import FAMILIES
from tests.test_device_pages import DOCS, follow
from training.pruning import SCORERS
from training.pruning.scores import MODULES

TABLES: tuple[dict[str, Any], ...] = (OPS, OPERATIONS, LOWER, FAMILIES, SCORERS.entered, ENGINES.entered)
PAGE = "research.md"
#: They list names when they are imported, which on a command line is after extensions are.
COMMANDS = ("bench.measure.options", "bench.model.cli", "training.cli.scoring", "training.cli.prune")


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = [dict(table) for table in TABLES]
    yield
    for table, entries in zip(TABLES, before, strict=True):
        for name in table.keys() - entries.keys() - MODULES.keys():
            del table[name]
    for module in [name for name in sys.modules if name.startswith("mine_")]:
        del sys.modules[module]


def install(folder: Path, groups: dict[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution with these entry points in ``folder``, from which modules are imported, too."""
    info = folder / "mine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    lines = [
        f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in points.items())
        for group, points in groups.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(folder)
    for module in COMMANDS:
        monkeypatch.delitem(sys.modules, module, raising=False)


def test_the_package_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toml = (DOCS / PAGE).read_text().partition("```toml\n")[2].partition("```")[0]
    install(tmp_path, tomllib.loads(toml)["project"]["entry-points"], monkeypatch)
    printed = follow(PAGE, "In a script", tmp_path, monkeypatch)
    assert "f32_signedsquare_none_flat__cpu" in printed
    assert "NumPy, op by op" in printed
    assert (tmp_path / "far.safetensors").is_file()
    graph = make_network("curved")
    x = np.random.default_rng(1).standard_normal((2, 3, 32, 32), np.float32)
    np.testing.assert_allclose(Engine(graph, 1)(x), reference.run(graph, {"x": x})["y"], rtol=1e-4, atol=1e-4)


def test_the_script_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "my_script.py"
    script.write_text((DOCS / PAGE).read_text().partition("# my_script.py\n")[2].partition("```")[0])
    install(tmp_path, {}, monkeypatch)
    out = tmp_path / "other.safetensors"
    words = ["prune", "maskcnn", "-o", str(out), "--method", "alternating", "--images", "8"]
    monkeypatch.setattr(sys, "argv", [str(script), *words])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(script), run_name="__main__")
    assert ended.value.code == 0
    assert out.is_file()


def test_a_changed_kernel_is_compiled_anew(tmp_path: Path) -> None:
    file = tmp_path / "k.py"
    hashes = []
    for body in ("1", "1", "2"):
        file.write_text(f"def build(kernel):\n    return {body}\n")
        names: dict[str, Any] = {}
        exec(compile(file.read_text(), str(file), "exec"), names)
        hashes.append(source_hash(names["build"]))
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize(
    "group, value, command, what",
    [
        ("extensions", "mine_lost", ["info", "x"], "No module named 'mine_lost'"),
        ("networks", "mine_lost:odd", ["info", "odd"], "No module named 'mine_lost'"),
        ("engines", "os:sep", ["bench", "maskcnn", "--engines", "odd"], "not to a bench.engines.Entry"),
        ("pruning_methods", "os:sep", ["prune", "maskcnn", "-o", "x", "--method", "odd"], "not to a Scorer"),
    ],
)
def test_what_does_not_load_is_one_line(
    group: str, value: str, command: list[str], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, {f"sparsenet.{group}": {"odd": value}}, monkeypatch)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert f"the entry point 'odd' of sparsenet.{group}" in line
    assert what in line
