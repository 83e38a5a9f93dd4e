"""``Makefile`` and ``CMakeLists.txt``."""

from __future__ import annotations

from sparsenet.targets.c99.text.names import Names

_MAKEFILE = """\
# make        lib{name}.a
# make test   builds and runs {name}_test
# CC, CFLAGS and AR may be given, as in:
# make CC=arm-none-eabi-gcc CFLAGS="-O2 -mcpu=cortex-m7 -mfloat-abi=hard -mfpu=fpv5-sp-d16"
CFLAGS ?= -O2
FLAGS = -std=c99 -pedantic -Wall -Wextra -Wconversion $(CFLAGS)
export COMMAND = $(CC) $(FLAGS)

lib{name}.a: {name}.o {name}_weights.o
\trm -f $@
\t$(AR) rcs $@ $^

%.o: %.c {name}.h {name}_kernels.h .command
\t$(CC) $(FLAGS) -c -o $@ $<

{name}_test: {name}_test.c lib{name}.a .command
\t$(CC) $(FLAGS) -o $@ {name}_test.c lib{name}.a -lm

# Changes when the compiler or its options do, and all is compiled anew.
.command: FORCE
\t@printf '%s\\n' "$$COMMAND" | cmp -s - $@ || printf '%s\\n' "$$COMMAND" > $@

test: {name}_test
\t./{name}_test

clean:
\trm -f *.o lib{name}.a {name}_test .command

.PHONY: test clean FORCE
"""

_CMAKE = """\
cmake_minimum_required(VERSION 3.13)
project({name} C)

# The network as a library. In another project: add_subdirectory(this-folder), target_link_libraries(app {name}).
add_library({name} STATIC {name}.c {name}_weights.c)
target_include_directories({name} PUBLIC ${{CMAKE_CURRENT_SOURCE_DIR}})
set_target_properties({name} PROPERTIES C_STANDARD 99 C_EXTENSIONS OFF)
if(NOT MSVC)
  target_link_libraries({name} PUBLIC m)
endif()

if(CMAKE_PROJECT_NAME STREQUAL PROJECT_NAME)
  enable_testing()
  add_executable({name}_test {name}_test.c)
  target_link_libraries({name}_test {name})
  add_test(NAME {name}_test COMMAND {name}_test)
endif()
"""


def makefile(names: Names) -> str:
    """The text of ``Makefile``."""
    return _MAKEFILE.format(name=names.name)


def cmake_lists(names: Names) -> str:
    """The text of ``CMakeLists.txt``."""
    return _CMAKE.format(name=names.name)
