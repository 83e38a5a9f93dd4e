"""docs/onnx_operators.md, made from what ONNX's node tests do: ``python -m tests.converters.onnx.operators``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.converters.onnx.node_tests import FILES, cases, run_case

PATH = Path(__file__).resolve().parents[3] / "docs" / "onnx_operators.md"

HEADER = """# ONNX operators

What `converters.from_onnx` makes of ONNX's own node tests, the ones that ship with the `onnx` package. Every test is
converted and run through the NumPy reference and through the engine; both must give the expected numbers. This page is
written by `python -m tests.converters.onnx.operators`, and a test holds it true.

* **free batch**: passed with dimension 0 as the batch, of any size: the importer's default.
* **one sample**: passed with `from_onnx(model, batch="fixed")`, where dimension 0 is a dimension like any other. These
  tests work across dimension 0, or have several inputs that a free batch would have to agree on. Tests whose result the
  importer knows without running anything, such as shapes, are counted here.
* **constant**: passed with all data as constants: its type is one that stored weights may have, but no input: integers
  of 2 and 4 bits, floats of 4 and 8.
* **excluded**: refused with an error that says why, or contradicted by the operator's own text; the reasons are
  listed below.

Inputs of a test that a network would hold as weights are given as constants. Numbers are float32 throughout: float64,
float16 and bfloat16 tests are run as such, and so are integers and truth values (exact up to 2**24, without the
wrap-around of narrow types).

| operator | tests | free batch | one sample | constant | excluded |
|---|---|---|---|---|---|
"""

EXCLUDED = """
## Excluded tests

"""


def operator_of(file: str) -> str:
    """The operator that a file of node tests is about."""
    plain = [case for case in cases(file) if "_expanded" not in case.name]
    return str(plain[0].model.graph.node[-1].op_type)


def rows_of(file: str, share: int = 1) -> tuple[str, list[str]]:
    """The table's row for one file, and a line for each reason that excludes some of its tests.

    One of each ``share`` tests, the first included, runs in the engine, too.
    """
    outcomes = {case.name: run_case(case, number % share == 0) for number, case in enumerate(cases(file))}
    ways = Counter(outcome.way for outcome in outcomes.values())
    counts = [len(outcomes), *(ways[way] for way in ("batch", "sample", "constant", "excluded"))]
    operator = operator_of(file)
    by_reason: dict[str, list[str]] = {}
    for name, outcome in sorted(outcomes.items()):
        if outcome.way == "excluded":
            by_reason.setdefault(outcome.reason, []).append(f"`{name.removeprefix('test_')}`")
    lines = [f"* **{operator}**: {reason}: {', '.join(names)}" for reason, names in sorted(by_reason.items())]
    return f"| {operator} | " + " | ".join(map(str, counts)) + " |", lines


def page() -> str:
    """The whole document."""
    results = {file: rows_of(file) for file in FILES}
    by_name = sorted(results.values(), key=lambda result: result[0].lower())
    totals = [sum(int(row.split("|")[i]) for row, _ in by_name) for i in range(2, 7)]
    total = "| **all** | " + " | ".join(f"**{n}**" for n in totals) + " |"
    rows = "\n".join([*(row for row, _ in by_name), total])
    return HEADER + rows + "\n" + EXCLUDED + "\n".join(line for _, lines in by_name for line in lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(page())
