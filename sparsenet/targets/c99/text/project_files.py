"""What build systems of boards want beside the code: the folder then is a library of theirs as it stands."""

from __future__ import annotations

from sparsenet.targets.c99.text.names import Names

_ARDUINO = """\
name={name}
version=1.0.0
author=sparsenet
maintainer=sparsenet
sentence=The neural network {name} in C99.
paragraph=Exported by sparsenet: no heap, one arena whose size is a macro.
category=Data Processing
url=
architectures=*
includes={name}.h
"""

_PLATFORMIO = """\
{{
  "name": "{name}",
  "version": "1.0.0",
  "description": "The neural network {name} in C99, exported by sparsenet",
  "headers": "{name}.h",
  "frameworks": "*",
  "platforms": "*",
  "build": {{
    "srcDir": ".",
    "includeDir": ".",
    "flags": "-lm",
    "srcFilter": ["+<{name}.c>", "+<{name}_weights.c>"]
  }}
}}
"""

_ZEPHYR_MODULE = """\
name: {name}
build:
  cmake: zephyr
  kconfig: zephyr/Kconfig
"""

_ZEPHYR_KCONFIG = """\
config SPARSENET_{upper}
  bool "The neural network {name}, exported by sparsenet"
  imply FPU
  help
    Makes {name}.h and its functions part of the application.
"""

_ZEPHYR_CMAKE = """\
if(CONFIG_SPARSENET_{upper})
  zephyr_library_named(sparsenet_{name})
  zephyr_library_sources(
    ${{CMAKE_CURRENT_LIST_DIR}}/../{name}.c
    ${{CMAKE_CURRENT_LIST_DIR}}/../{name}_weights.c
  )
  zephyr_include_directories(${{CMAKE_CURRENT_LIST_DIR}}/..)
endif()
"""

#: Build system → the files it wants, by their names in the network's folder.
PROJECTS = {
    "arduino": {"library.properties": _ARDUINO},
    "platformio": {"library.json": _PLATFORMIO},
    "zephyr": {
        "zephyr/module.yml": _ZEPHYR_MODULE,
        "zephyr/Kconfig": _ZEPHYR_KCONFIG,
        "zephyr/CMakeLists.txt": _ZEPHYR_CMAKE,
    },
}


def project_files(names: Names, project: str) -> dict[str, str]:
    """The files that the build system ``project`` wants, by name."""
    return {file: text.format(name=names.name, upper=names.upper) for file, text in PROJECTS[project].items()}
