"""What the report calls engines, their ratios and the rows of its main table."""

from __future__ import annotations

from training.report.model import INT8, Stage, StoredFile

#: ``Latency.engine`` → in the heads of tables, in their order.
ENGINES = {
    "pytorch": "PyTorch",
    "dense": "dense",
    "sparse": "sparse",
    "int8-dense": "int8 dense",
    "int8-sparse": "int8 sparse",
}
#: The same where nothing else says that it is this engine.
ENGINE_NAMES = {
    engine: name if engine == "pytorch" else f"engine, {name}" for engine, name in ENGINES.items()
}
#: (slow, fast) of the speed-ups that tables show.
RATIOS = (
    *(("dense", "sparse"), ("pytorch", "sparse")),
    *(("sparse", "int8-sparse"), ("int8-dense", "int8-sparse"), ("pytorch", "int8-sparse")),
)


def ratio_name(slow: str, fast: str) -> str:
    """As in ``sparse vs dense``."""
    return f"{ENGINES[fast]} vs {ENGINES[slow]}"


def row_title(stage: Stage, stored: StoredFile | None) -> str:
    """Of a row of ``Report.rows``."""
    return f"{stage.title}, int8" if stored and stored.values == INT8 else stage.title
