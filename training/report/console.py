"""The final table on the terminal."""

from __future__ import annotations

from sparsenet.text.quantities import threads_text
from training.report.findings import findings, headline, paper_row
from training.report.model import Report
from training.report.names import ENGINES, ratio_name, row_title
from training.report.numbers import number, percent, ratio

#: (slow, fast) of the speed-ups that find place on a line.
PAIRS = (("dense", "sparse"), ("sparse", "int8-sparse"))


def console_table(report: Report) -> str:
    """The result, quality and size (beside the paper if it has both networks), speed and findings, as plain text."""
    quality = [["network", "zeros", "accuracy", "macro F1", "weighted F1", "bytes", "compression", "paper"]]
    for stage, stored in report.rows:
        paper = paper_row(report, stage.key)
        scores = stored.scores if stored else stage.scores
        quality.append(
            [
                row_title(stage, stored),
                f"{percent(stage.sparsity, 0)} %",
                percent(scores.accuracy),
                percent(scores.macro_f1),
                percent(scores.weighted_f1),
                number(stored.bytes if stored else report.teacher_bytes),
                f"{number(stored.compression if stored else 1)}×",
                f"{paper.accuracy:.2f}/{paper.macro_f1:.2f}/{paper.weighted_f1:.2f}/{paper.compression:g}×"
                if paper
                else "–",
            ]
        )
    if not paper_row(report, "teacher"):
        quality = [row[:-1] for row in quality]
    speed = [["ms per image", *ENGINES.values(), *(ratio_name(*pair) for pair in PAIRS)]]
    for key in dict.fromkeys(m.stage for m in report.speed.latencies):
        found = [report.speed.latency(key, engine) for engine in ENGINES]
        speed.append(
            [
                report.stage(key).title,
                *(f"{m.median:.3f}" if m else "–" for m in found),
                *(ratio(report.speed.speedup(key, slow, fast)) for slow, fast in PAIRS),
            ]
        )
    counted = (
        f"Students: the engine on its {report.table_values} files. "
        f"Speed: one image, {threads_text(report.speed.threads)}, "
        f"medians of rounds in turn; ratios with 95 % intervals."
    )
    return "\n".join(
        [
            headline(report),
            "",
            _align(quality),
            "",
            _align(speed),
            counted,
            "",
            *(f"• {found.topic}: {found.text}" for found in findings(report)),
        ]
    )


def _align(rows: list[list[str]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "─" * max(map(len, lines)))
    return "\n".join(lines)
