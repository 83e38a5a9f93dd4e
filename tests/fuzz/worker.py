"""A process that works through cases under a memory limit and says before each which one comes.

It reads cases, one per line, from stdin; for each it writes ``ok <outcome>`` or ``finding <what>`` to stdout.
"""

from __future__ import annotations

import os
import resource
import sys
import traceback
from pathlib import Path

#: What a case may claim on top of what the process has before it, and what the library is told to keep to.
MEMORY_BYTES = 512 * 2**20
STATED_LIMIT = "96M"


def main() -> None:
    """Work until stdin ends."""
    run_every = int(sys.argv[1])
    os.environ["SPARSENET_MAX_MEMORY"] = STATED_LIMIT
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever prints, it must not disturb the protocol

    import numba  # noqa: F401 - compilers load lazily, and the limit is meant for cases

    from tests.fuzz.cases import Case

    for line in sys.stdin:
        case = Case.parse(line)
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        try:
            case.data()
        except RecursionError:  # changes that put a document inside itself make no file
            out.write("ok no file\n")
            out.flush()
            continue
        _limit_memory()
        try:
            answer = f"ok {case.check(run_every)}"
        except Exception as error:
            frames = traceback.extract_tb(error.__traceback__)
            where = next((f for f in reversed(frames) if "/tests/" not in f.filename), frames[-1])
            place = f"{Path(where.filename).name}:{where.lineno}"
            answer = f"finding {type(error).__name__} at {place}: {' '.join(str(error).split())[:300]}"
        out.write(answer + "\n")
        out.flush()


def _limit_memory() -> None:
    """For the case that comes: compilers keep what they made for those before it."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
