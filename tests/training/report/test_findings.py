"""The sentences say what the numbers say, whichever way they point."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from training.report.findings import findings, headline, one_shot
from training.report.model import LatencyPoint, Report, Speedup


def text(report: Report, topic: str) -> str:
    return dict(findings(report))[topic]


def with_scores(report: Report, key: str, **scores: Any) -> Report:
    stages = [
        replace(stage, scores=replace(stage.scores, **scores)) if stage.key == key else stage
        for stage in report.stages
    ]
    return replace(report, stages=stages)


def with_speedup(report: Report, slow: str, median: float, low: float, high: float) -> Report:
    return with_ratio(report, Speedup("distilled-pruned", slow, "sparse", median, low, high))


def with_ratio(report: Report, new: Speedup) -> Report:
    pair = (new.stage, new.slow, new.fast)
    kept = [s for s in report.speed.speedups if (s.stage, s.slow, s.fast) != pair]
    return replace(report, speed=replace(report.speed, speedups=[*kept, new]))


def test_the_result_is_one_sentence(report: Report) -> None:
    assert headline(report) == (
        "With 80 % of its weights zero and computed in 8-bit integers, the student is right on 90.0 % of the test "
        "images (before: 94.0 %); its file has 60,000 bytes, 1,388 times smaller than the teacher's weights; one image "
        "takes 0.50 ms, in PyTorch 3.00 ms."
    )


def test_without_int8_and_times_the_sentence_is_of_the_stored_file(report: Report) -> None:
    files = [file for file in report.files if file.values != "int8"]
    bare = replace(report, files=files, speed=replace(report.speed, latencies=[]))
    assert "integers" not in headline(bare)
    assert headline(bare).endswith("right on 91.0 % of the test images (before: 94.0 %); its file has 70,000 bytes, "
                                   "1,189 times smaller than the teacher's weights.")  # fmt: skip


def test_pruned_at_once_is_the_point_at_the_final_sparsity(report: Report) -> None:
    point = one_shot(report)
    assert point is not None
    assert point.sparsity == max(p.sparsity for p in report.accuracy_curve if p.sparsity <= 0.805)
    assert one_shot(replace(report, accuracy_curve=[])) is None


def test_every_topic_has_a_sentence(report: Report) -> None:
    topics = [topic for topic, _ in findings(report)]
    assert topics == [
        "Size",
        "Speed",
        "Eight bits",
        "Distillation",
        "Pruning",
        "Stored values",
        "Same outputs",
        "Break-even",
        "Reading these numbers",
    ]


@pytest.mark.parametrize(
    "accuracy, expected",
    [
        (0.95, "gained 5.0 points of accuracy (90.0 → 95.0 %)"),
        (0.85, "lost 5.0 points of accuracy (90.0 → 85.0 %)"),
        (0.90, "left accuracy unchanged (90.0 → 90.0 %)"),
    ],
)
def test_distillation_gains_loses_or_changes_nothing(report: Report, accuracy: float, expected: str) -> None:
    assert expected in text(with_scores(report, "distilled", accuracy=accuracy), "Distillation")


def test_a_student_better_than_its_teacher_is_said_to_be(report: Report) -> None:
    assert "passes its teacher" not in text(report, "Distillation")
    assert "passes its teacher" in text(with_scores(report, "distilled", macro_f1=0.99), "Distillation")


def test_pruning_can_cost_or_gain(report: Report) -> None:
    assert "cost 2.0 points of macro F1" in text(report, "Pruning")
    assert "gained 4.0 points of macro F1" in text(
        with_scores(report, "distilled-pruned", macro_f1=0.96), "Pruning"
    )


def test_pruning_names_the_one_shot_result_at_the_same_sparsity(report: Report) -> None:
    [point] = [p for p in report.accuracy_curve if p.sparsity == 0.8]
    expected = f"pruned in one shot to 80 %, without fine-tuning, it has {point.macro_f1 * 100:.1f} %"
    assert expected in text(report, "Pruning")


@pytest.mark.parametrize("size, relation", [(70_000, "more than"), (90_000, "less than")])
def test_compression_is_compared_with_the_paper_as_it_is(report: Report, size: int, relation: str) -> None:
    files = [
        replace(f, bytes=size, compression=report.teacher_bytes / size)
        if (f.stage, f.values) == ("distilled-pruned", "i8")
        else f
        for f in report.files
    ]
    assert f"{relation} the paper's 1,004×" in text(replace(report, files=files), "Size")


def test_a_student_or_teacher_that_the_paper_does_not_know_is_compared_with_nothing(report: Report) -> None:
    assert "paper" not in text(replace(report, student="mobilenetv1"), "Size")
    teacher = replace(report.stage("teacher"), model="mobilenetv1")
    assert "paper" not in text(replace(report, stages=[teacher, *report.stages[1:]]), "Size")


@pytest.mark.parametrize(
    "median, low, high, expected",
    [
        (2.5, 2.4, 2.6, "2.50 times as fast as the dense engine"),
        (0.5, 0.4, 0.6, "slower than the dense engine, which is 2.00 times as fast"),
        (1.01, 0.98, 1.03, "as fast as the dense engine within the spread (1.01×)"),
    ],
)
def test_speed_is_faster_slower_or_undecided(
    report: Report, median: float, low: float, high: float, expected: str
) -> None:
    changed = with_speedup(report, "dense", median, low, high)
    assert expected in text(changed, "Speed")
    assert ("does not pay" in text(changed, "Speed")) == (high < 1)


def test_speed_that_was_too_noisy_to_tell_is_no_verdict(report: Report) -> None:
    changed = with_speedup(report, "dense", 0.5, 0.4, 0.6)
    speedups = [replace(s, noisy=True) for s in changed.speed.speedups]
    sentence = text(replace(changed, speed=replace(changed.speed, speedups=speedups)), "Speed")
    assert (
        "too noisy to tell how the speed of the sparse engine compares with that of the dense engine"
        in sentence
    )
    assert "does not pay" not in sentence


def test_a_noisy_machine_may_tell_what_speed_is_at_least(report: Report) -> None:
    noisy = Speedup("distilled-pruned", "dense", "sparse", 2.4, 1.9, 3.1, noisy=True, at_least=1.52)
    assert (
        "the sparse engine is at least 1.5 times as fast as the dense engine and 3.00 times as fast as PyTorch. "
        "The machine was too noisy to tell more." in text(with_ratio(report, noisy), "Speed")
    )


def test_eight_bits_cost_and_bring_what_was_measured(report: Report) -> None:
    found = text(report, "Eight bits")
    assert "cost 2.0 points of macro F1 (90.0 → 88.0 %); its file has 60,000 bytes." in found
    assert (
        "the sparse engine in int8 is 2.00 times as fast as the sparse engine in float32 and 1.60 times"
        in found
    )
    noisy = Speedup("distilled-pruned", "int8-dense", "int8-sparse", 1.0, 0.5, 2.0, noisy=True)
    assert (
        "too noisy to tell how the speed of the sparse engine in int8 compares with that of the dense engine"
        in text(with_ratio(report, noisy), "Eight bits")
    )
    without = replace(report, files=[file for file in report.files if file.values != "int8"])
    assert "Eight bits" not in dict(findings(without))


def test_storage_names_what_each_encoding_changes(report: Report) -> None:
    sentence = text(report, "Stored values")
    assert "f16 left accuracy unchanged (92.0 → 92.0 %)" in sentence
    assert "i8 lost 1.0 point of accuracy (92.0 → 91.0 %)" in sentence


def curve(ratios: dict[float, tuple[float, float]]) -> list[LatencyPoint]:
    return [
        LatencyPoint(s, [], [Speedup("", "dense", "sparse", median, low, median + 0.1)])
        for s, (median, low) in ratios.items()
    ]


@pytest.mark.parametrize(
    "ratios, expected",
    [
        (
            {0.0: (0.8, 0.7), 0.5: (1.2, 1.1), 0.9: (3.0, 2.9)},
            "from 50 % zeros on; the most is 3.00× at 90 %",
        ),
        ({0.0: (1.1, 1.05), 0.5: (1.02, 0.97), 0.9: (1.5, 1.4)}, "from 90 % zeros on"),
        ({0.0: (0.8, 0.7), 0.9: (1.01, 0.9)}, "At no sparsity measured"),
    ],
)
def test_break_even_needs_every_higher_sparsity_to_pay(
    report: Report, ratios: dict[float, tuple[float, float]], expected: str
) -> None:
    assert expected in text(replace(report, latency_curve=curve(ratios)), "Break-even")


def test_break_even_leaves_out_what_was_too_noisy(report: Report) -> None:
    points = curve({0.0: (0.8, 0.7), 0.5: (1.2, 1.1), 0.9: (3.0, 2.9)})
    points[2] = replace(points[2], speedups=[replace(points[2].speedups[0], noisy=True)])
    found = text(replace(report, latency_curve=points), "Break-even")
    assert (
        "from 50 % zeros on; the most is 1.20× at 50 %. At 1 of 3 sparsities the machine was too noisy"
        in found
    )
    known = replace(points[2], speedups=[replace(points[2].speedups[0], at_least=2.3)])
    least = text(replace(report, latency_curve=[*points[:2], known]), "Break-even")
    assert "from 50 % zeros on; the most is at least 2.3× at 90 %." in least
    assert "too noisy" not in least
    alone = text(replace(report, latency_curve=points[2:]), "Break-even")
    assert alone == "At 1 of 1 sparsities the machine was too noisy to tell."


def test_the_difference_is_the_largest_of_the_exact_files(report: Report) -> None:
    files = [
        replace(f, max_difference=7.7e-6) if (f.stage, f.values) == ("scratch", "f32") else f
        for f in report.files
    ]
    assert "7.7·10⁻⁶" in text(replace(report, files=files), "Same outputs")


def test_networks_trained_before_are_named(report: Report) -> None:
    assert "Not trained in this run alone: From scratch" in text(report, "Reading these numbers")
    fresh = replace(report, stages=[replace(stage, reused=None) for stage in report.stages])
    assert "Not trained" not in text(fresh, "Reading these numbers")
