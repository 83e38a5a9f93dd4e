"""Zeros and eight bits together: what each of them costs, and both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from training.reproduce.plan import INT8_FORMS, Plan
from training.reproduce.results import Result, read_result
from training.reproduce.sections.section import Section, latencies
from training.reproduce.settings import Settings
from training.reproduce.tables import SPEED, Column, Row, Table, percent, speed_of

PATTERNS = {"dense": "–", "unstructured": "single weights", "1x4": "1×4 blocks"}
FORMS = {"f32": "float32", "int8": "int8", "trained": "int8, trained"}
COLUMNS = [
    Column("pattern", "pruned"),
    Column("zeros", "zeros %", percent()),
    Column("form", "computed in"),
    Column("accuracy", "accuracy %", percent()),
    Column("macro_f1", "macro F1 %", percent()),
    *SPEED,
]


def build(settings: Settings, folder: Path) -> Section:
    """The section from the results in ``folder``."""
    plan = Plan(settings)
    names = plan.int8_names()
    found = {name: read_result(folder / "int8" / f"{name}.json") for name in names}
    rows = _rows(found, latencies(folder, "int8"))
    asked, stages = settings.int8, settings.students.prune_stages
    kept = f", {', '.join(asked.keep_float)} in float32" if asked.keep_float else ""
    caption = (
        f"{plan.int8_student}, distilled, pruned at {', '.join(f'{size}² for {n}' for size, n in stages)} epochs, one "
        f"seed; tested on {found[names[0]]['images']} images by the engine. “int8”: ranges from "
        f"{asked.samples} training images, no training{kept}. “int8, trained”: {asked.epochs} more epochs with weights "
        "and activations rounded. “Vs unpruned”: against the dense kernels on the float32 network without zeros."
    )
    return Section(
        "int8",
        "Zeros and eight bits",
        "One student, pruned by single weights and by blocks of four input channels, in float32 and in 8-bit integers.",
        [_finding(row, rows[0]) for row in rows[1:]],
        [Table("int8", "Quality and speed", COLUMNS, rows, caption)],
        [],
    )


def _rows(found: Mapping[str, Result], measured: Mapping[str, Result]) -> list[Row]:
    rows: list[Row] = []
    for name, result in sorted(found.items(), key=lambda item: item[1]["sparsity"]):
        for form in INT8_FORMS:
            figures = result["forms"][form]
            rows.append(
                {
                    "pattern": PATTERNS[result["pattern"]],
                    "zeros": result["sparsity"],
                    "form": FORMS[form],
                    "accuracy": figures["accuracy"],
                    "macro_f1": figures["macro_f1"],
                    "bytes": figures["bytes"],
                    **speed_of(measured.get(f"{name}-{form}")),
                }
            )
    return rows


def _finding(row: Row, whole: Row) -> str:
    points = (row["macro_f1"] - whole["macro_f1"]) * 100
    return f"{row['zeros']:.0%} zeros, {row['pattern']}, {row['form']}: macro F1 {row['macro_f1']:.1%} ({points:+.1f})."
