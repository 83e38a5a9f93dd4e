"""An exported folder is a library for the build systems of boards; compilers and CMake stand for them here."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import click
import pytest

import sparsenet
from sparsenet.commands.export_c import export_c as command
from sparsenet.errors import InputError
from sparsenet.targets.c99.text.project_files import PROJECTS
from tests.sparsenet.targets.c99.compiled import COMPILER, needs_compiler
from tests.sparsenet.targets.c99.networks import separable_net

SKETCH = (
    "#include <face.h>\nint main() { face_ctx ctx; return face_init(&ctx, 0, 0) != FACE_ERROR_ARGUMENT; }\n"
)
#: What Zephyr's functions of these names do, for an application that is a program of this machine.
ZEPHYR = """
cmake_minimum_required(VERSION 3.13)
project(app C)
add_library(zephyr_interface INTERFACE)
add_executable(app main.c)
macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC "")
  target_link_libraries(${name} PUBLIC zephyr_interface)
  target_link_libraries(app ${name} m)
endmacro()
macro(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endmacro()
macro(zephyr_include_directories)
  target_include_directories(zephyr_interface INTERFACE ${ARGN})
endmacro()
set(CONFIG_SPARSENET_FACE y)
add_subdirectory(face/zephyr)
"""


@needs_compiler
@pytest.mark.parametrize("project", ["arduino", "platformio"])
def test_what_is_compiled_of_a_folder_makes_a_program(project: str, tmp_path: Path) -> None:
    folder = tmp_path / "face"
    sparsenet.export_c(separable_net(), folder, project=project)
    (tmp_path / "main.cpp").write_text(SKETCH)
    files = [file.name for file in folder.glob("*.c")]  # Arduino compiles them all
    if project == "platformio":
        build = json.loads((folder / "library.json").read_text())["build"]
        files = [pattern.removeprefix("+<").removesuffix(">") for pattern in build["srcFilter"]]
    else:
        lines = (folder / "library.properties").read_text().splitlines()
        assert {"name=face", "includes=face.h"} <= set(lines)
    assert COMPILER is not None
    subprocess.run([COMPILER, "-DARDUINO=10819", "-Wall", "-Werror", "-c", *files], cwd=folder, check=True)
    objects = [folder / Path(file).with_suffix(".o") for file in files]
    linker = shutil.which("g++") or shutil.which("clang++")
    if linker is None:
        pytest.skip("there is no C++ compiler")
    subprocess.run(
        [linker, f"-I{folder}", "main.cpp", *objects, "-lm", "-o", "app"], cwd=tmp_path, check=True
    )
    subprocess.run([tmp_path / "app"], check=True)


@needs_compiler
def test_a_zephyr_module_adds_a_library(tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("there is no cmake")
    sparsenet.export_c(separable_net(), tmp_path / "face", project="zephyr")
    assert "config SPARSENET_FACE\n" in (tmp_path / "face/zephyr/Kconfig").read_text()
    (tmp_path / "main.c").write_text(SKETCH)
    (tmp_path / "CMakeLists.txt").write_text(ZEPHYR)
    for arguments in (["-B", "build"], ["--build", "build"]):
        subprocess.run(["cmake", *arguments], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([tmp_path / "build/app"], check=True)


@needs_compiler
def test_make_compiles_anew_for_another_processor(tmp_path: Path) -> None:
    """Objects of the host's compiler must not end up in a board's library."""
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    sparsenet.export_c(separable_net(), tmp_path / "face")

    def make(*arguments: str) -> str:
        command = ["make", "-C", str(tmp_path / "face"), "libface.a", f"CC={COMPILER}", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert make().count(" -c ") == 2
    assert " -c " not in make()
    constants = "CFLAGS=-O1 -D'FACE_CONST=__attribute__((section(\".ext_flash\")))'"
    assert make(constants).count(" -c ") == 2
    assert " -c " not in make(constants)


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text("project(precious)")
    with pytest.raises(InputError, match=r"holds 'CMakeLists\.txt' already"):
        sparsenet.export_c(separable_net(), tmp_path, name="face")
    assert [file.name for file in tmp_path.iterdir()] == ["CMakeLists.txt"]
    (tmp_path / "report.json").write_text('{"of": "something else"}')
    with pytest.raises(InputError, match=r"holds 'report\.json' already"):
        sparsenet.export_c(separable_net(), tmp_path, name="face")
    sparsenet.export_c(separable_net(), tmp_path / "face")
    sparsenet.export_c(separable_net(), tmp_path / "face", project="zephyr")


def test_the_command_knows_every_project() -> None:
    (option,) = [parameter for parameter in command.params if parameter.name == "project"]
    assert isinstance(option.type, click.Choice)
    assert tuple(option.type.choices) == tuple(PROJECTS)
