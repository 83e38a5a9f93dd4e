"""``report.html``: one file with its style and pictures inside, nothing fetched from anywhere."""

from __future__ import annotations

import base64
from pathlib import Path

from markupsafe import Markup

from sparsenet.text.quantities import threads_text
from training.report import figures
from training.report.files import write_text
from training.report.findings import FINAL, findings, headline, main_file, paper_row
from training.report.model import Report
from training.report.names import ENGINE_NAMES, ENGINES, RATIOS, ratio_name, row_title
from training.report.numbers import interval, number, percent, scientific, times
from training.report.paper import CITATION
from training.report.templates import page_template


def render_page(report: Report) -> str:
    """The whole page as HTML text; every value that came from outside is escaped."""
    filters = {
        "percent": percent,
        "number": number,
        "interval": interval,
        "times": times,
        "scientific": scientific,
        "image": _image,
    }
    return page_template("training.report", filters).render(
        report=report,
        headline=headline(report),
        findings=findings(report),
        cards=_cards(report),
        paper_row=paper_row,
        citation=CITATION,
        figures=figures,
        final=FINAL,
        row_title=row_title,
        engines=ENGINES,
        engine_names=ENGINE_NAMES,
        ratios=RATIOS,
        ratio_name=ratio_name,
        titles={s.key: s.title for s in report.stages},
        timed=list(dict.fromkeys(m.stage for m in report.speed.latencies)),
    )


def save_page(report: Report, path: Path) -> None:
    """Render and write ``report.html``; it appears under ``path`` only when it is complete."""
    write_text(path, render_page(report))


def _cards(report: Report) -> list[tuple[str, str, str]]:
    """(value, what it is, beside what) of the headline."""
    cards: list[tuple[str, str, str]] = []
    stored, final = main_file(report, FINAL), report.stage(FINAL)
    if stored:
        cards.append(
            (
                f"{number(stored.compression)}×",
                "smaller than the teacher",
                f"{number(stored.bytes)} bytes on disk",
            )
        )
        teacher = report.stage("teacher").scores.macro_f1
        cards.append((f"{percent(stored.scores.macro_f1)} %", "macro F1", f"teacher: {percent(teacher)} %"))
    for slow, fast, name in (
        ("dense", "sparse", "of the dense engine"),
        ("pytorch", "sparse", "of PyTorch"),
        ("pytorch", "int8-sparse", "of PyTorch, in int8"),
    ):
        speedup = report.speed.speedup(FINAL, slow, fast)
        if speedup and speedup.told:
            threads = threads_text(report.speed.threads)
            cards.append(
                (
                    times(speedup),
                    f"the speed {name}",
                    f"{percent(final.sparsity, 0)} % zeros, {threads}",
                )
            )
    cards.append((scientific(report.max_difference), "largest difference", "engine and PyTorch, relative"))
    return cards


def _image(svg: str, caption: str) -> Markup:
    """An ``<img>`` that carries its picture; as an image, no drawing's ids or styles meet another's."""
    data = base64.b64encode(svg.encode()).decode()
    return Markup('<img class="figure" alt="{}" src="data:image/svg+xml;base64,{}">').format(caption, data)
