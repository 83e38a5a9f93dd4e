"""What holds the repository together: entry points, pinned versions, make targets, documents that tell the truth."""

from __future__ import annotations

import importlib.metadata
import posixpath
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest

import sparsenet
from sparsenet.cli import ENTRY_POINTS, EXTRAS, SECTIONS
from sparsenet.targets.registry import support_table
from tests.full import spread

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ("sparsenet", "converters", "training", "bench")
OWN_COMMANDS = sorted(name for section in SECTIONS.values() for name in section)


def requirement_name(requirement: str) -> str:
    return re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0].lower()


def test_the_listing_and_the_entry_points_name_the_same_commands() -> None:
    assert sorted(PROJECT["project"]["entry-points"][ENTRY_POINTS]) == OWN_COMMANDS


@pytest.mark.parametrize("name", OWN_COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    (point,) = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
    command = point.load()
    assert isinstance(command, click.Command)
    with click.Context(command, info_name=f"sparsenet {name}", max_content_width=110) as context:
        text = command.get_help(context)
    assert f"sparsenet {name}" in text.partition("\n")[2], "no example of the command in its own help"
    assert len(command.get_short_help_str(200)) > 10


def test_every_command_with_a_table_prints_json_too() -> None:
    for name in ("info", "run", "profile", "explain", "convert", "evaluate", "bench", "predict"):
        (point,) = importlib.metadata.entry_points(group=ENTRY_POINTS, name=name)
        assert any("--json" in option.opts for option in point.load().params), name


def test_the_engine_depends_on_four_packages() -> None:
    assert sorted(map(requirement_name, PROJECT["project"]["dependencies"])) == [
        "click",
        "numba",
        "numpy",
        "safetensors",
    ]


def test_every_tested_version_is_pinned() -> None:
    pinned = {
        requirement_name(line)
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if not line.startswith("#")
    }
    extras = PROJECT["project"]["optional-dependencies"]
    required = PROJECT["project"]["dependencies"] + [
        requirement for extra in ("train", "onnx", "bench", "dev") for requirement in extras[extra]
    ]
    assert {requirement_name(requirement) for requirement in required} <= pinned


def test_every_extra_that_a_message_names_exists() -> None:
    sources = [path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    raised = re.findall(r'MissingExtraError\([^()]*"([\w-]+)"\)', "\n".join(sources))
    assert len(raised) > 5
    extras = PROJECT["project"]["optional-dependencies"]
    assert set(raised) <= set(extras)
    names = {"PIL": "pillow", "pytest_benchmark": "pytest-benchmark", "numba_cuda": "numba-cuda"}
    for extra, modules in EXTRAS.items():
        assert sorted(names.get(m, m) for m in modules) == sorted(map(requirement_name, extras[extra])), extra


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_says_that_it_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


_OF_A_GPU = ("sparsenet.targets.cuda.runtime", "sparsenet.targets.cuda.kernels")
_FIRST = """
import importlib, sys
for name in sys.argv[2:]:
    for known in [m for m in sys.modules if m.partition(".")[0] == sys.argv[1]]:
        del sys.modules[known]
    importlib.import_module(name)
"""


@pytest.mark.parametrize("package", ["sparsenet", "converters", "bench"])
def test_any_module_can_be_the_first_to_be_imported(package: str) -> None:
    paths = (path.relative_to(ROOT).with_suffix("") for path in sorted((ROOT / package).rglob("*.py")))
    names = [".".join(path.parts).removesuffix(".__init__") for path in paths if path.name != "__main__"]
    names = spread([name for name in names if not name.startswith(_OF_A_GPU)], 4)
    subprocess.run([sys.executable, "-c", _FIRST, package, *names], cwd=ROOT, check=True)


@pytest.mark.parametrize("package", PACKAGES)
def test_tests_stand_where_the_code_does_that_they_test(package: str) -> None:
    """A folder of tests is a folder of the package, or one module's; what a folder's name begins stands in it."""
    for path in sorted((ROOT / "tests" / package).rglob("test_*.py")):
        place = path.parent.relative_to(ROOT / "tests")
        code = ROOT / place
        assert code.is_dir() or code.with_suffix(".py").is_file(), f"tests of {place}, which is not there"
        folder = path.stem.removeprefix("test_").split("_")[0]
        assert not (code / folder / "__init__.py").exists(), f"{path.name} is about {place / folder}"


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o100
    assert script.read_text().splitlines()[-1] == "make test"


def test_make_says_what_is_missing_where_there_is_no_python(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    result = subprocess.run(
        ["make", "install", "PYTHON=/nonexistent/python"], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode != 0
    assert result.stderr.startswith("error: no Python >= 3.11")
    assert not (tmp_path / ".venv").exists()


def test_the_changelog_knows_this_version() -> None:
    assert sparsenet.__version__ in (ROOT / "CHANGELOG.md").read_text()
    assert importlib.metadata.version("sparsenet") == sparsenet.__version__


DOCUMENTS = sorted(
    p.relative_to(ROOT).as_posix() for p in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
)


def links(document: str) -> list[tuple[str, str]]:
    """(path from the root, anchor) of every link of a document to another or to itself."""
    text = re.sub(r"```.*?```", "", (ROOT / document).read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text)
    parts = [target.partition("#") for target in targets if "://" not in target]
    return [
        (posixpath.normpath(posixpath.join(posixpath.dirname(document), path)) if path else document, anchor)
        for path, _, anchor in parts
    ]


def anchors(document: str) -> set[str]:
    """What the headings of a document are called in links to them."""
    headings = re.findall(r"^#+ (.+)$", (ROOT / document).read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_between_documents_lead_somewhere(document: str) -> None:
    for path, anchor in links(document):
        assert (ROOT / path).exists(), f"{document} links to {path}"
        assert not anchor or anchor in anchors(path), f"{document} links to {path}#{anchor}"


def test_the_readme_leads_to_every_document() -> None:
    linked = {path for path, _ in links("README.md")}
    assert set(DOCUMENTS) - linked <= {"README.md"}


def test_the_readme_shows_every_command() -> None:
    text = (ROOT / "README.md").read_text()
    assert [name for name in OWN_COMMANDS if f"sparsenet {name}" not in text] == []


def test_the_documents_list_every_kernel_family() -> None:
    text = (ROOT / "docs" / "kernels.md").read_text()
    table = text.partition("<!-- kernels")[2].partition("<!-- /kernels -->")[0]
    assert re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE) == list(support_table())
