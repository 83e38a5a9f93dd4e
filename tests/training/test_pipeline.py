"""The main job from end to end, as small as it goes."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import sparsenet
from sparsenet.cli import main
from training.checkpoint import load_model
from training.data.sources import load_split
from training.demo.model_files import run
from training.demo.settings import DemoSettings, Schedules
from training.evaluate import evaluate, metrics
from training.models import build_model
from training.models.registry import count_parameters
from training.report.model import Report, load_report

ARGUMENTS = [
    "--images", "64", "--teacher", "minixception-128-256", "--student", "minixception-128",
    "--teacher-stages", "32:1", "--stages", "32:1", "--prune-stages", "32:1", "--precision", "fp32", "--quiet",
    "--seconds", "0.1", "--curve", "0,0.9",
]  # fmt: skip


def tiny(out: Path) -> DemoSettings:
    """What ``ARGUMENTS`` ask for."""
    return DemoSettings(
        out=out,
        images=64,
        teacher="minixception-128-256",
        student="minixception-128",
        schedules=Schedules(teacher=((32, 1),), student=((32, 1),), prune=((32, 1),)),
        curve=(0.0, 0.9),
        seconds=0.1,
        progress=False,
    )


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The command from nothing, which every test here looks at: its folder and what it printed."""
    out = tmp_path_factory.mktemp("demo") / "out"
    return out, CliRunner().invoke(main, ["demo", "--out", str(out), *ARGUMENTS])


@pytest.fixture(scope="module")
def finished(command: tuple[Path, Result]) -> tuple[DemoSettings, Report]:
    out, result = command
    assert result.exit_code == 0, result.output
    return tiny(out), load_report(out / "report.json")


def test_the_page_shows_the_report_and_the_command_that_made_it(
    finished: tuple[DemoSettings, Report],
) -> None:
    settings, report = finished
    page = (settings.out / "report.html").read_text(encoding="utf-8")
    assert "Distilled + pruned" in page
    assert report.command == settings.command()
    assert settings.command() in page.replace("&#39;", "'")


def test_sizes_and_ratios_are_those_of_the_files(finished: tuple[DemoSettings, Report]) -> None:
    _, report = finished
    teacher = 4 * count_parameters(build_model("minixception-128-256", 4))
    assert report.teacher_bytes == teacher
    assert len(report.files) == 4 * 3 + 1
    for stored in report.files:
        assert stored.bytes == Path(stored.path).stat().st_size
        assert stored.compression == teacher / stored.bytes
    sizes = [report.file("distilled-pruned", values) for values in ("f32", "f16", "i8")]
    assert [s.bytes for s in sizes if s] == sorted((s.bytes for s in sizes if s), reverse=True)


def test_scores_are_those_of_the_very_file(finished: tuple[DemoSettings, Report]) -> None:
    _, report = finished
    test = load_split(None, 32, "test", count=64, progress=False)
    for values in ("f32", "i8", "int8"):
        stored = report.file("distilled-pruned", values)
        assert stored is not None
        answers = run(sparsenet.load(stored.path, threads=1), test, 32)
        found = metrics(test.labels, answers.argmax(1), test.class_names)
        assert (stored.scores.accuracy, stored.scores.macro_f1) == (found.accuracy, found.macro_f1)
        assert stored.scores.confusion == [list(row) for row in found.confusion]


def test_engine_and_pytorch_agree(finished: tuple[DemoSettings, Report]) -> None:
    _, report = finished
    assert 0 < report.max_difference <= 1e-4
    assert 0 < report.speed.max_difference <= 1e-4
    final = report.file("distilled-pruned", "f32")
    assert final is not None
    assert final.scores == report.stage("distilled-pruned").scores


def test_the_final_student_is_computed_in_integers_too(finished: tuple[DemoSettings, Report]) -> None:
    _, report = finished
    stored = report.file("distilled-pruned", "int8")
    assert stored is not None
    engine = sparsenet.load(stored.path, threads=1)
    integers = [d for d in engine.plan.decisions if d.format.startswith("int8")]
    assert len(integers) > len(engine.plan.decisions) // 2
    assert 1e-4 < stored.max_difference < 0.5
    for name in ("int8-dense", "int8-sparse"):
        assert report.speed.latency("distilled-pruned", name)


def test_stages_are_pruned_as_asked(finished: tuple[DemoSettings, Report]) -> None:
    _, report = finished
    assert [round(stage.sparsity, 2) for stage in report.stages] == [0, 0, 0.8, 0, 0.8]
    assert [stage.size for stage in report.stages] == [32] * 5
    assert all(stage.reused is None for stage in report.stages)


def test_curves_cover_the_sparsities(finished: tuple[DemoSettings, Report]) -> None:
    settings, report = finished
    assert [point.sparsity for point in report.accuracy_curve] == list(settings.curve)
    assert [point.sparsity for point in report.latency_curve] == list(settings.curve)
    unpruned = report.stage("distilled").scores
    assert report.accuracy_curve[0].accuracy == unpruned.accuracy
    for point in report.latency_curve:
        assert [latency.engine for latency in point.latencies] == ["pytorch", "dense", "sparse"]


def test_the_command_prints_the_table_and_where_the_report_is(command: tuple[Path, Result]) -> None:
    out, result = command
    assert result.exit_code == 0, result.output
    assert "Distilled + pruned" in result.stdout
    assert result.stdout.endswith(f"report: {out / 'report.html'}\n")
    assert result.stderr == ""


@pytest.mark.slow
def test_once_more_the_command_trains_nothing_and_prints_what_it_saves(
    finished: tuple[DemoSettings, Report], tmp_path: Path
) -> None:
    settings, first = finished
    out = tmp_path / "out"
    shutil.copytree(settings.out, out)
    result = CliRunner().invoke(main, ["demo", "--out", str(out), *ARGUMENTS, "--json"])
    assert result.exit_code == 0, result.output
    printed, saved = json.loads(result.stdout), load_report(out / "report.json")
    without_pictures = dataclasses.replace(saved, examples=[], mistakes=[])
    assert json.loads(json.dumps(dataclasses.asdict(without_pictures))) == printed | {
        "examples": [],
        "mistakes": [],
    }
    assert printed["student"] == "minixception-128"
    assert all(stage.reused for stage in saved.stages)
    assert [stage.scores for stage in saved.stages] == [stage.scores for stage in first.stages]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--data", "nowhere"], "nowhere"),
        (["--weights", "nowhere"], "nowhere"),
        (["--weights", "."], "none of teacher.safetensors"),
        (["--stages", "64"], "SIZE:EPOCHS"),
        (["--stages", "8:1"], "stage's size must be at least 16"),
        (["--sparsity", "1"], "sparsity"),
        (["--student", "resnet"], "resnet"),
        (["--seed", "-1"], "seed"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["demo", "--out", "out", "--quiet", *arguments])
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_file_where_the_folder_should_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("here first")
    result = CliRunner().invoke(main, ["demo", "--out", str(tmp_path / "out"), *ARGUMENTS])
    assert result.exit_code == 2
    assert "out" in result.stderr
    assert (tmp_path / "out").read_text() == "here first"


def test_a_teacher_judged_by_pytorch(finished: tuple[DemoSettings, Report]) -> None:
    settings, report = finished
    model, info = load_model(settings.out / "weights" / "teacher.safetensors")
    found = evaluate(model, load_split(None, 32, "test", count=64, progress=False), info.input_size)
    assert report.stage("teacher").scores.accuracy == found.accuracy
