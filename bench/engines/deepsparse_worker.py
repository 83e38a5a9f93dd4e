"""Runs in an environment that has DeepSparse: loads an ONNX file, then infers and times as asked over its pipes.

    python -I deepsparse_worker.py NETWORK.onnx BATCH THREADS CLOCK.py

Questions and answers are lines of JSON, each followed by the float32 arrays it announces. The worker ends with its
input. It imports nothing of this project, but runs the file that decides how everybody's time is taken.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from functools import partial
from typing import Any


def main() -> None:
    """Load what the command line names, then answer until there are no more questions."""
    # What the engine prints must not land among the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    questions = sys.stdin.buffer

    def answer(value: dict[str, Any], *arrays: Any) -> None:
        answers.write(json.dumps(value).encode() + b"\n")
        for array in arrays:
            answers.write(array.tobytes())
        answers.flush()

    path, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    try:
        import deepsparse
        import numpy as np
    except ImportError:
        answer({"missing": True})
        return
    try:
        engine = deepsparse.compile_model(path, batch_size=batch, num_cores=threads)
    except Exception as error:
        answer({"error": f"{type(error).__name__}: {error}"})
        return
    answer({"version": deepsparse.__version__})
    clocks = runpy.run_path(sys.argv[4])["CLOCKS"]
    feeds = []
    for line in questions:
        question = json.loads(line)
        if question["do"] == "infer":
            shape = question["shape"]
            data = questions.read(4 * int(np.prod(shape)))
            feeds = [np.frombuffer(data, np.float32).reshape(shape).copy()]
            outputs = [np.ascontiguousarray(y, np.float32) for y in engine.run(feeds)]
            answer({"shapes": [list(y.shape) for y in outputs]}, *outputs)
        else:
            answer({"sample": clocks[question["clock"]].turn(partial(engine.run, feeds))})


if __name__ == "__main__":
    main()
