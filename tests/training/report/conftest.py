"""A report of made-up numbers: small, complete, and with every branch of the page in it."""

from __future__ import annotations

import base64
import io

import pytest
from PIL import Image

from training.demo.speed import PAIRS
from training.report.model import (
    AccuracyPoint,
    Data,
    Epoch,
    Example,
    Latency,
    LatencyPoint,
    Report,
    Scores,
    Speed,
    Speedup,
    Stage,
    Startup,
    StoredFile,
)

CLASSES = ["correct", "uncovered_chin", "uncovered_nose", "uncovered_nose_and_mouth"]
STAGES = [
    ("teacher", "Teacher", 0.0, 0.98),
    ("scratch", "From scratch", 0.0, 0.90),
    ("scratch-pruned", "From scratch + pruned", 0.8, 0.85),
    ("distilled", "Distilled", 0.0, 0.94),
    ("distilled-pruned", "Distilled + pruned", 0.8, 0.92),
]


def scores(quality: float, images: int = 100) -> Scores:
    right = round(quality * images)
    confusion = [[right if i == j else (images - right) // 3 for j in range(4)] for i in range(4)]
    return Scores(quality, quality - 0.02, quality - 0.01, [quality] * 4, confusion)


def latency(stage: str, engine: str, ms: float) -> Latency:
    setting = "channels_last" if engine == "pytorch" else ""
    return Latency(stage, engine, setting, 50, ms, ms * 0.97, ms * 1.06)


def speedups(stage: str, times: dict[str, float]) -> list[Speedup]:
    ratios = [(slow, fast, times[slow] / times[fast]) for slow, fast in PAIRS if {slow, fast} <= set(times)]
    return [Speedup(stage, slow, fast, ratio, ratio * 0.98, ratio * 1.03) for slow, fast, ratio in ratios]


@pytest.fixture(scope="session")
def report() -> Report:
    stages = []
    for key, title, sparsity, quality in STAGES:
        losses = [0.9, 0.6, 0.4, 0.35]
        epochs = [
            Epoch(i + 1, 96, loss, sparsity * (i + 1) / 4, quality - loss / 4, quality - loss / 3)
            for i, loss in enumerate(losses)
        ]
        model, parameters = ("xception", 20_815_148) if key == "teacher" else ("minixception-128", 167_268)
        reused = "demo-out/stages" if key == "scratch" else None
        stages.append(
            Stage(
                key,
                title,
                model,
                96,
                parameters,
                sparsity,
                scores(quality),
                epochs,
                12.5,
                f"{key}.st",
                reused,
            )
        )
    files = [
        StoredFile(s.key, v, f"{s.key}-{v}.safetensors", size, 83_260_592 / size, scores(quality), difference)
        for s in stages[1:]
        for v, size, quality, difference in (
            ("f32", 680_000, s.scores.accuracy, 2e-6),
            ("f16", 350_000, s.scores.accuracy, 5e-4),
            ("i8", 70_000, s.scores.accuracy - 0.01, 2e-2),
            ("int8", 60_000, s.scores.accuracy - 0.02, 5e-2),
        )
        if v != "int8" or s.key == "distilled-pruned"
    ]
    measured = {
        "teacher": {"pytorch": 31.0, "dense": 29.0},
        "distilled": {"pytorch": 3.1, "dense": 2.6},
        "distilled-pruned": {
            "pytorch": 3.0,
            "dense": 2.5,
            "sparse": 1.0,
            "int8-dense": 0.8,
            "int8-sparse": 0.5,
        },
    }
    speed = Speed(
        1,
        [latency(stage, engine, ms) for stage, times in measured.items() for engine, ms in times.items()],
        [ratio for stage, times in measured.items() for ratio in speedups(stage, times)],
        3.1e-6,
    )
    startup = [
        Startup("sparse", 0.3, 0.02, 0.004, 90_000_000),
        Startup("pytorch", 2.1, 0.1, 0.05, 310_000_000),
    ]
    curve = []
    for s in (0.0, 0.5, 0.8, 0.95):
        times = {"pytorch": 3.0, "dense": 2.5, "sparse": 3.5 * (1 - s) + 0.3}
        curve.append(LatencyPoint(s, [latency("", e, ms) for e, ms in times.items()], speedups("", times)))
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (180, 140, 120)).save(buffer, "JPEG")
    picture = base64.b64encode(buffer.getvalue()).decode()
    return Report(
        command="sparsenet demo --out demo-out",
        created="2025-01-01 12:00 UTC",
        settings={"seed": "0", "epochs": "4"},
        environment={"CPU": "made up", "torch": "2.0"},
        data=Data("made-up faces", "nowhere", 96, CLASSES, {"training": [9, 9, 9, 9], "test": [5, 5, 5, 5]}),
        teacher_bytes=83_260_592,
        student="minixception-128",
        stages=stages,
        files=files,
        table_values="i8",
        speed=speed,
        startup=startup,
        accuracy_curve=[AccuracyPoint(s, 0.94 - s**4, 0.92 - s**4) for s in (0.0, 0.2, 0.5, 0.8, 0.95)],
        latency_curve=curve,
        examples=[Example(picture, 0, 0, 0.99), Example(picture, 1, 2, 0.61)],
        mistakes=[Example(picture, 1, 2, 0.61)],
        phases={"training": 100.0, "measuring": 20.0},
    )
