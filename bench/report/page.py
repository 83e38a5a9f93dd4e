"""``report.html``: one file with its style and pictures inside, nothing fetched from anywhere."""

from __future__ import annotations

import base64
from pathlib import Path

from markupsafe import Markup

from bench.engines import label_of
from bench.kernels import tables as kernels
from bench.report import pictures
from bench.report.data import LAYERS_AT, Data
from bench.report.derived import break_even, geometric_mean, surely
from bench.subjects.sparsity import SPARSITY_NOTE
from sparsenet.io.files import write_atomically
from sparsenet.text.quantities import at_least, threads_text
from training.report.templates import page_template


def render_page(data: Data) -> str:
    """The whole page as HTML text; every value that came from outside is escaped."""
    return page_template(
        "bench.report", {"picture": _picture, "at_least": at_least, "threads": threads_text}
    ).render(
        data=data,
        plan=data.plan,
        label_of=label_of,
        pictures=pictures,
        cards=_cards(data),
        break_even=_break_even,
        tables=[
            table for table in (kernels.summary(data.rates, memory) for memory in (False, True)) if table[1]
        ],
        kernels_note=kernels.NOTE,
        sparsity_note=SPARSITY_NOTE,
        layers_at=LAYERS_AT,
    )


def save_page(data: Data, path: Path) -> None:
    """Render and write; the file appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, render_page(data).encode())


def _picture(svg: str) -> Markup:
    """An SVG as the source of an image, whose ids cannot meet those of another."""
    return Markup("data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode())  # noqa: S704 - base64 only


def _cards(data: Data) -> list[tuple[str, str, str]]:
    """(value, what it is, beside what): the headline at the highest sparsity."""
    highest, threads = data.plan.sparsities[-1], data.plan.threads[0]
    cards = []
    for engine in data.plan.engines[1:]:
        ratios = [
            r.speedup
            for model in data.plan.models
            for r in data.ratios(model, engine, threads)
            if r.sparsity == highest and r.speedup is not None
        ]
        if ratios:
            of = f"geometric mean of {len(ratios)} networks" if len(ratios) > 1 else "one network"
            beside = f"{highest:.0%} zeros, {of}, {threads_text(threads)}"
            cards.append((f"{geometric_mean(ratios):.2f}×", f"as fast as {label_of(engine)}", beside))
    return cards


def _break_even(data: Data, model: str, engine: str, threads: int) -> str:
    results = data.of(model, engine, threads)
    points = surely(results)
    if not points or points[-1][1] is None:
        return "too noisy to tell"
    found = break_even(points)
    return "never" if found is None else "always" if found == 0 else f"{found:.0%}"
