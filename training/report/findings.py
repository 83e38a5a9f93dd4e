"""What the numbers show, in words: every sentence is derived from the report it is given."""

from __future__ import annotations

from training.report.model import Report, Speedup, StoredFile
from training.report.paper import published

FINAL = "distilled-pruned"


def points(share: float) -> str:
    """A difference of shares in percentage points: 0.0123 → '1.2 points'."""
    return f"{abs(share) * 100:.1f} point{'' if f'{abs(share) * 100:.1f}' == '1.0' else 's'}"


def findings(report: Report) -> list[str]:
    """The sentences at the top of the report, most important first."""
    sentences = [_compression(report), _speed(report), _distillation(report), _pruning(report)]
    sentences += [_storage(report), _parity(report), _break_even(report), _resolution(report)]
    return [sentence for sentence in sentences if sentence]


def _change(verb_up: str, verb_down: str, before: float, after: float, measure: str) -> str:
    span = f"({before * 100:.1f} → {after * 100:.1f} %)"
    if round(abs(after - before) * 1000) == 0:
        return f"left {measure} unchanged {span}"
    return f"{verb_up if after > before else verb_down} {points(after - before)} of {measure} {span}"


def _distillation(report: Report) -> str:
    before, after = report.stage("scratch").scores, report.stage("distilled").scores
    return (
        f"Distillation {_change('gained', 'lost', before.accuracy, after.accuracy, 'accuracy')} and "
        f"{_change('gained', 'lost', before.macro_f1, after.macro_f1, 'macro F1')} "
        f"against the same student trained from scratch."
    )


def _pruning(report: Report) -> str:
    before, after = report.stage("distilled"), report.stage(FINAL)
    text = (
        f"Pruning the distilled student to {after.sparsity * 100:.0f} % zeros with fine-tuning "
        f"{_change('gained', 'cost', before.scores.macro_f1, after.scores.macro_f1, 'macro F1')}"
    )
    one_shot = [p for p in report.accuracy_curve if p.sparsity <= after.sparsity + 0.005]
    if one_shot:
        point = one_shot[-1]
        text += (
            f"; without fine-tuning it stands at {point.macro_f1 * 100:.1f} % at {point.sparsity:.0%} zeros"
        )
    return text + "."


def _storage(report: Report) -> str:
    exact = report.file(FINAL, "f32")
    if exact is None:
        return ""
    parts = []
    for values in ("f16", "i8"):
        stored = report.file(FINAL, values)
        if stored:
            before, after = exact.scores.accuracy, stored.scores.accuracy
            parts.append(f"{values} {_change('gained', 'lost', before, after, 'accuracy')}")
    return f"Stored values of the final student: {', '.join(parts)} against f32." if parts else ""


def smallest(report: Report, stage: str) -> StoredFile | None:
    """The file of a stage whose numbers stand in the main table."""
    return report.file(stage, report.table_values)


def _compression(report: Report) -> str:
    stored, paper = smallest(report, FINAL), published(report.student, FINAL)
    if stored is None:
        return ""
    text = (
        f"The final student's file has {stored.bytes:,} bytes, {stored.compression:,.0f}× fewer than the "
        f"teacher's {report.teacher_bytes:,} bytes of fp32 weights; the engine reaches "
        f"{stored.scores.accuracy * 100:.1f} % accuracy and {stored.scores.macro_f1 * 100:.1f} % macro F1 with it"
    )
    if paper:
        relation = "more than" if stored.compression > paper.compression else "less than"
        text += (
            f". The ratio is {relation} the paper's {paper.compression:,.0f}×, whose count was less strict"
        )
    return text + "."


def _faster(ratio: Speedup, other: str) -> str:
    # An interquartile range that holds 1 is no verdict either way.
    if ratio.low <= 1 <= ratio.high:
        return f"as fast as {other} within the spread ({ratio.median:.2f}×)"
    if ratio.median > 1:
        return f"{ratio.median:.2f}× faster than {other}"
    return f"{1 / ratio.median:.2f}× slower than {other}"


def _speed(report: Report) -> str:
    dense = report.speed.speedup(FINAL, "dense", "sparse")
    torch = report.speed.speedup(FINAL, "pytorch", "sparse")
    if dense is None or torch is None:
        return ""
    verdicts = f"{_faster(dense, 'the dense engine')} and {_faster(torch, 'PyTorch')}"
    text = f"On the final student the sparse engine is {verdicts}"
    if dense.high < 1:
        text += "; sparsity does not pay here"
    return text + "."


def _parity(report: Report) -> str:
    return (
        "Engine and PyTorch agree: over all students and the whole test set the largest difference of a logit is "
        f"{report.max_difference:.1e} of the largest, with f32 values."
    )


def _break_even(report: Report) -> str:
    ratios = {
        p.sparsity: ratio.median
        for p in report.latency_curve
        for ratio in p.speedups
        if (ratio.slow, ratio.fast) == ("dense", "sparse")
    }
    if not ratios:
        return ""
    # From here on every higher sparsity measured is faster too.
    paying: list[float] = []
    for sparsity in sorted(ratios, reverse=True):
        if ratios[sparsity] <= 1:
            break
        paying.append(sparsity)
    if not paying:
        return "At no sparsity measured is the sparse engine faster than the dense one."
    top = max(ratios)
    return (
        f"Of the sparsities measured, the sparse engine is faster than the dense one from {min(paying):.0%} on "
        f"({ratios[top]:.2f}× at {top:.0%})."
    )


def _resolution(report: Report) -> str:
    images = report.stage(FINAL).scores.images
    return f"The test set has {images:,} images: one of them is {1 / images * 100:.2f} points of accuracy."
