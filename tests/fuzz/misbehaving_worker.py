"""A worker that does with each case what its seed says: what a campaign must notice."""

from __future__ import annotations

import os
import sys
import time

ANSWERS = ["ok fine", "finding ValueError at x.py:1: wrong"]
CRASH, HANG = 2, 3

if __name__ == "__main__":
    for line in sys.stdin:
        seed = int(line.split()[1])
        if seed == CRASH:
            os.abort()
        elif seed == HANG:
            while True:
                time.process_time()
        sys.stdout.write(ANSWERS[seed] + "\n")
        sys.stdout.flush()
