"""Paper 1, tables 3 to 5 and figures 2 and 3."""

from __future__ import annotations

from pathlib import Path

from training.report.paper import published
from training.reproduce.figures import Line, Picture, Plot, line_plots
from training.reproduce.plan import STUDENT_STAGES
from training.reproduce.results import Result, read_result
from training.reproduce.sections.section import Section, latencies
from training.reproduce.settings import Settings
from training.reproduce.tables import SPEED, Column, Row, Table, count, percent, speed_of, times

TITLES = {
    "teacher": "teacher",
    "scratch": "from scratch",
    "scratch-pruned": "from scratch + pruning",
    "distilled": "distilled",
    "distilled-pruned": "distilled + pruning",
}
QUALITY = [
    Column("approach", "approach"),
    Column("zeros", "zeros %", percent(1)),
    Column("accuracy", "accuracy %", percent(1)),
    Column("macro_f1", "macro F1 %", percent(1)),
    Column("weighted_f1", "weighted F1 %", percent(1)),
]
COMPRESSION = [Column("compression", "compression", times)]
PAPER = [
    Column("paper_accuracy", "accuracy %", percent(0), theirs=True),
    Column("paper_macro_f1", "macro F1 %", percent(0), theirs=True),
    Column("paper_weighted_f1", "weighted F1 %", percent(0), theirs=True),
]
PAPER_COMPRESSION = [Column("paper_compression", "compression", times, theirs=True)]
#: Values of the weights in the files whose bytes and quality the tables give.
VALUES = "i8"


def build(settings: Settings, folder: Path) -> Section:
    """The section from the results in ``folder``."""
    students = settings.students.students
    teacher = read_result(folder / "students" / "teacher.json")
    found = {
        student: {s: read_result(folder / "students" / f"{student}-{s}.json") for s in STUDENT_STAGES}
        for student in students
    }
    tables = [
        Table(
            "table3",
            f"Table 3: the teacher, {teacher['model']}",
            [*QUALITY, *PAPER, Column("parameters", "parameters", count), Column("bytes", "bytes", count)],
            [_teacher_row(teacher)],
            "PyTorch, float32. Bytes: four for each parameter and nothing else; compression is counted against them.",
        )
    ]
    for position, student in enumerate(students):
        tables.append(_table(f"table{4 + position}", settings, student, teacher, found[student], folder))
    return Section(
        "students",
        "Distillation and pruning",
        "A large teacher; students that learn from the labels alone, or from it, too; both pruned while they train on.",
        [_finding(student, stages) for student, stages in found.items()],
        tables,
        [_losses(teacher, found)],
    )


def _table(
    key: str, settings: Settings, student: str, teacher: Result, stages: dict[str, Result], folder: Path
) -> Table:
    measured = latencies(folder, f"students-{student}")
    rows = [_teacher_row(teacher)]
    for stage, result in stages.items():
        file = next(file for file in result["files"] if file["values"] == VALUES)
        scores, theirs = file["scores"], published(student, stage)
        rows.append(
            {
                "approach": TITLES[stage],
                "zeros": result["sparsity"],
                "accuracy": scores["accuracy"],
                "macro_f1": scores["macro_f1"],
                "weighted_f1": scores["weighted_f1"],
                "compression": file["compression"],
                **({f"paper_{name}": value for name, value in theirs._asdict().items()} if theirs else {}),
                "bytes": file["bytes"],
                **speed_of(measured.get(f"{stage}-f32")),
            }
        )
    asked = settings.students
    return Table(
        key,
        f"Table {key.removeprefix('table')}: {student}",
        [*QUALITY, *COMPRESSION, *PAPER, *PAPER_COMPRESSION, *SPEED],
        rows,
        f"Students: the engine on their {VALUES} files, whose bytes are given; times are of the f32 files. Compression "
        "is the teacher's fp32 weights alone ÷ the file that the engine loads; the paper's teacher file still held "
        f"optimizer state, which makes its ratios about 2.5 times larger. Pruned to {asked.sparsity:.0%} zeros. “Vs "
        "unpruned”: against the dense kernels on the student from scratch. Grey: the paper.",
    )


def _teacher_row(teacher: Result) -> Row:
    theirs = published("minixception-128", "teacher")
    assert theirs is not None
    scores = teacher["scores"]
    return {
        "approach": TITLES["teacher"],
        "zeros": 0.0,
        "accuracy": scores["accuracy"],
        "macro_f1": scores["macro_f1"],
        "weighted_f1": scores["weighted_f1"],
        "compression": 1.0,
        "parameters": teacher["parameters"],
        "bytes": 4 * teacher["parameters"],
        "paper_accuracy": theirs.accuracy,
        "paper_macro_f1": theirs.macro_f1,
        "paper_weighted_f1": theirs.weighted_f1,
        "paper_compression": theirs.compression,
    }


def _finding(student: str, stages: dict[str, Result]) -> str:
    def f1(stage: str) -> float:
        return float(stages[stage]["scores"]["macro_f1"])

    return (
        f"{student}: macro F1 {f1('scratch'):.1%} from scratch and {f1('distilled'):.1%} distilled; pruned to "
        f"{stages['distilled-pruned']['sparsity']:.0%} zeros {f1('scratch-pruned'):.1%} and "
        f"{f1('distilled-pruned'):.1%}."
    )


def _losses(teacher: Result, found: dict[str, dict[str, Result]]) -> Picture:
    def line(label: str, result: Result) -> Line:
        epochs = result["epochs"]
        return Line(label, [e["epoch"] for e in epochs], [e["train_loss"] for e in epochs])

    plots = [Plot([line("teacher", teacher)], "epoch", "training loss", teacher["model"], whole_x=True)]
    plots += [
        Plot([line(TITLES[s], r) for s, r in stages.items()], "epoch", "training loss", student, whole_x=True)
        for student, stages in found.items()
    ]
    caption = (
        "Training loss, mean of each epoch: figures 2 and 3 of the paper. Distillation's loss mixes labels and the "
        "teacher's softened answers, so it is on a scale of its own."
    )
    return line_plots("students-training", caption, plots)
