"""What the numbers show, in words: every sentence is derived from the report it is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from training.report.model import INT8, AccuracyPoint, Report, Speedup, StoredFile
from training.report.numbers import TOO_NOISY, number, percent, points, scientific, times
from training.report.paper import Published, published

FINAL = "distilled-pruned"


class Finding(NamedTuple):
    """One sentence or two, and the word to find it by."""

    topic: str
    text: str


def findings(report: Report) -> list[Finding]:
    """The sentences at the top of the report, most important first."""
    texts = {
        "Size": _size(report),
        "Speed": _speed(report),
        "Eight bits": _eight_bits(report),
        "Distillation": _distillation(report),
        "Pruning": _pruning(report),
        "Stored values": _storage(report),
        "Same outputs": _parity(report),
        "Break-even": _break_even(report),
        "Reading these numbers": _resolution(report),
    }
    return [Finding(topic, text) for topic, text in texts.items() if text]


def headline(report: Report) -> str:
    """The result in one sentence: what is left of the distilled student's accuracy, and what it costs now."""
    whole, final = report.stage("distilled"), report.stage(FINAL)
    stored = report.file(FINAL, INT8) or main_file(report, FINAL)
    scores = stored.scores if stored else final.scores
    integers = " and computed in 8-bit integers" if stored and stored.values == INT8 else ""
    text = (
        f"With {percent(final.sparsity, 0)} % of its weights zero{integers}, the student is right on "
        f"{percent(scores.accuracy)} % of the test images (before: {percent(whole.scores.accuracy)} %)"
    )
    if stored:
        text += (
            f"; its file has {number(stored.bytes)} bytes, {number(stored.compression)} times smaller than the "
            f"teacher's weights"
        )
    engine = "int8-sparse" if integers else "sparse"
    ours, torch = report.speed.latency(FINAL, engine), report.speed.latency(FINAL, "pytorch")
    if ours and torch:
        text += f"; one image takes {ours.median:.2f} ms, in PyTorch {torch.median:.2f} ms"
    return text + "."


def one_shot(report: Report) -> AccuracyPoint | None:
    """The distilled student pruned at once to about the final student's zeros, if the curve has such a point."""
    sparsity = report.stage(FINAL).sparsity
    return next((p for p in reversed(report.accuracy_curve) if p.sparsity <= sparsity + 0.005), None)


def paper_row(report: Report, stage: str) -> Published | None:
    """The paper's row beside a stage of this run; ``None`` if its student or its teacher, an Xception, is another."""
    same_teacher = report.stage("teacher").model == "xception"
    return published(report.student, stage) if same_teacher else None


def main_file(report: Report, stage: str) -> StoredFile | None:
    """The file of a stage whose numbers stand in the main table."""
    return report.file(stage, report.table_values)


def _change(verb_up: str, verb_down: str, before: float, after: float, measure: str) -> str:
    span = f"({percent(before)} → {percent(after)} %)"
    if percent(after) == percent(before):
        return f"left {measure} unchanged {span}"
    return f"{verb_up if after > before else verb_down} {points(after - before)} of {measure} {span}"


def _size(report: Report) -> str:
    stored, paper = main_file(report, FINAL), paper_row(report, FINAL)
    if stored is None:
        return ""
    text = (
        f"The final student's file has {number(stored.bytes)} bytes; the teacher's fp32 weights have "
        f"{number(report.teacher_bytes)}, {number(stored.compression)} times as many"
    )
    if paper:
        relation = "more" if stored.compression > paper.compression else "less"
        text += f": {relation} than the paper's {number(paper.compression)}×, which was counted less strictly"
    return (
        f"{text}. Running this file, the engine reaches {percent(stored.scores.accuracy)} % accuracy and "
        f"{percent(stored.scores.macro_f1)} % macro F1."
    )


def _speed(report: Report) -> str:
    dense = report.speed.speedup(FINAL, "dense", "sparse")
    torch = report.speed.speedup(FINAL, "pytorch", "sparse")
    if dense is None or torch is None:
        return ""
    text = _compared({"the dense engine": dense, "PyTorch": torch})
    if dense.high < 1 and not dense.noisy:
        text += " Sparsity does not pay here."
    teacher, student = report.speed.latency("teacher", "pytorch"), report.speed.latency(FINAL, "sparse")
    if teacher and student:
        text += (
            f" One image takes {student.median:.2f} ms; the teacher in PyTorch takes {teacher.median:.1f} ms"
            f"{_at_sizes(report)}."
        )
    return text + _start(report)


def _eight_bits(report: Report) -> str:
    stored, exact = report.file(FINAL, INT8), report.file(FINAL, "f32")
    if stored is None or exact is None:
        return ""
    change = _change("gained", "cost", exact.scores.macro_f1, stored.scores.macro_f1, "macro F1")
    text = f"Quantizing the final student, without training, {change}; its file has {number(stored.bytes)} bytes."
    others = {
        "sparse": "the sparse engine in float32",
        "int8-dense": "the dense engine in int8",
    }
    ratios = {name: report.speed.speedup(FINAL, engine, "int8-sparse") for engine, name in others.items()}
    known = {name: ratio for name, ratio in ratios.items() if ratio}
    return f"{text} {_compared(known, 'the sparse engine in int8')}" if known else text


def _start(report: Report) -> str:
    starts = {start.engine: start for start in report.startup}
    if starts.keys() != {"sparse", "pytorch"}:
        return ""
    seconds = {name: start.importing + start.loading + start.first for name, start in starts.items()}
    return (
        f" A fresh process has its first answer after {seconds['sparse']:.1f} s with the engine and after "
        f"{seconds['pytorch']:.1f} s with PyTorch, at a peak of {number(starts['sparse'].memory / 1e6)} and "
        f"{number(starts['pytorch'].memory / 1e6)} MB of memory."
    )


def _at_sizes(report: Report) -> str:
    teacher, student = report.stage("teacher").size, report.stage(FINAL).size
    return "" if teacher == student else f" (at {teacher}², the student at {student}²)"


def _compared(ratios: Mapping[str, Speedup], engine: str = "the sparse engine") -> str:
    """How fast ``engine`` runs the final student; ``ratios`` by what it is compared with."""
    verdicts = [_times_as_fast(ratio, other) for other, ratio in ratios.items() if ratio.told is not None]
    untold = [other for other, ratio in ratios.items() if ratio.told is None]
    sentences = []
    if verdicts:
        sentences.append(f"On the final student {engine} is {' and '.join(verdicts)}.")
    if any(ratio.noisy and ratio.told for ratio in ratios.values()):
        sentences.append(f"The machine was {TOO_NOISY} more.")
    if untold:
        sentences.append(
            f"The machine was {TOO_NOISY} how the speed of {engine} compares with that of "
            f"{' and '.join(untold)}."
        )
    return " ".join(sentences)


def _times_as_fast(ratio: Speedup, other: str) -> str:
    if ratio.noisy:
        return f"{times(ratio, ' times')} as fast as {other}"
    # An interval on both sides of 1 is no verdict either way.
    if ratio.low <= 1 <= ratio.high:
        return f"as fast as {other} within the spread ({ratio.median:.2f}×)"
    if ratio.median > 1:
        return f"{ratio.median:.2f} times as fast as {other}"
    return f"slower than {other}, which is {1 / ratio.median:.2f} times as fast"


def _distillation(report: Report) -> str:
    before, after = report.stage("scratch").scores, report.stage("distilled").scores
    text = (
        f"Learning from the teacher {_change('gained', 'lost', before.accuracy, after.accuracy, 'accuracy')} and "
        f"{_change('gained', 'lost', before.macro_f1, after.macro_f1, 'macro F1')} "
        f"against the same student trained from scratch."
    )
    teacher = report.stage("teacher").scores.macro_f1
    if teacher < after.macro_f1:
        text += f" The student passes its teacher ({percent(teacher)} % macro F1)."
    return text


def _pruning(report: Report) -> str:
    before, after = report.stage("distilled"), report.stage(FINAL)
    text = (
        f"Bringing the distilled student to {percent(after.sparsity, 0)} % zeros while fine-tuning it "
        f"{_change('gained', 'cost', before.scores.macro_f1, after.scores.macro_f1, 'macro F1')}"
    )
    point = one_shot(report)
    if point:
        text += (
            f"; pruned in one shot to {percent(point.sparsity, 0)} %, without fine-tuning, it has "
            f"{percent(point.macro_f1)} %"
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
    return f"Against f32 weights in the final student's file, {', '.join(parts)}." if parts else ""


def _parity(report: Report) -> str:
    return (
        "Between engine and PyTorch, over all students and the whole test set, no logit differs by more than "
        f"{scientific(report.max_difference)} of the largest (f32 values)."
    )


def _break_even(report: Report) -> str:
    ratios = {
        point.sparsity: ratio
        for point in report.latency_curve
        for ratio in point.speedups
        if (ratio.slow, ratio.fast) == ("dense", "sparse")
    }
    if not ratios:
        return ""
    noisy = sum(ratio.told is None for ratio in ratios.values())
    unknown = f" At {noisy} of {len(ratios)} sparsities the machine was too noisy to tell." if noisy else ""
    if noisy == len(ratios):
        return unknown.strip()
    ratios = {sparsity: ratio for sparsity, ratio in ratios.items() if ratio.told is not None}
    # From here on every higher sparsity measured is faster too, by more than the spread.
    paying: list[float] = []
    for sparsity in sorted(ratios, reverse=True):
        if not ratios[sparsity].noisy and ratios[sparsity].low <= 1:
            break
        paying.append(sparsity)
    if not paying:
        return f"At no sparsity measured is the sparse engine faster than the dense one beyond the spread.{unknown}"
    best = max(paying, key=lambda sparsity: ratios[sparsity].told or 0)
    return (
        f"Of the sparsities measured on the student pruned in one shot, the sparse engine is faster than the dense "
        f"one from {percent(min(paying), 0)} % zeros on; the most is {times(ratios[best])} at "
        f"{percent(best, 0)} %.{unknown}"
    )


def _resolution(report: Report) -> str:
    scores = report.stage(FINAL).scores
    images = scores.images
    text = (
        f"The test set has {number(images)} images: one of them is {percent(1 / images, 2)} points of accuracy. "
        f"Its rarest class has {number(min(map(sum, scores.confusion)))}."
    )
    reused = [stage.title for stage in report.stages if stage.reused]
    if reused:
        text += f" Not trained in this run alone: {', '.join(reused)} (see Training)."
    return text
