"""A worker that does with each case what its seed says: what a campaign must notice."""

from __future__ import annotations

import os
import sys
import time

from tests.fuzz.cases import Case

ANSWERS = ["ok fine", "finding ValueError at x.py:1: wrong"]
CRASH, HANG = 2, 3

if __name__ == "__main__":
    for line in sys.stdin:
        case = Case.parse(line)
        if case.seed == CRASH:
            os.abort()
        elif case.seed == HANG:
            while True:
                time.process_time()
        sys.stdout.write(ANSWERS[case.seed] + "\n")
        sys.stdout.flush()
