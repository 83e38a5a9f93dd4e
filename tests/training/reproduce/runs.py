"""Cells run in this process, in the order the workflow would choose: importing PyTorch once is enough for a test."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from sparsenet.graph import Graph
from training.reproduce.at_once import WAYS
from training.reproduce.cell import run_cell
from training.reproduce.plan import (
    MASKCNN_SIZE,
    SNIP_METHODS,
    SNIP_VARIANTS,
    STUDENT_STAGES,
    TEACHER,
    Plan,
    before,
    before_at_once,
    images,
    stages_before,
)
from training.reproduce.settings import Settings


class ByWeights:
    """Milliseconds as weights that are not zero: the same on every machine, and known at once."""

    def __init__(self, first: Graph) -> None:
        self.ms = sum(self(first).values())

    def __call__(self, graph: Graph) -> dict[str, float]:
        return {
            node.name: float(np.count_nonzero(graph.constants[name])) for node, name in graph.weight_names()
        }

    def measure(self, graph: Graph) -> SimpleNamespace:
        """How many times as fast as the first a network is."""
        return SimpleNamespace(speedup=SimpleNamespace(median=self.ms / sum(self(graph).values())))


class Run:
    """A folder, and the cells that fill it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self.folder, self.plan = settings, folder, Plan(settings)

    def cell(self, name: str, **arguments: Any) -> None:
        """Values that look like files of the run lie in its folder."""
        words = []
        for key, value in arguments.items():
            several = value if isinstance(value, list) else [value]
            words += [f"{key}={self.folder / one if '/' in str(one) else one}" for one in several]
        run_cell(name, self.settings, words)

    def images(self, size: int) -> dict[str, str]:
        for split in ("train", "test"):
            if not (self.folder / images(split, size)).exists():
                self.cell("images.collect", split=split, size=size, out=images(split, size))
        return {"images": images("train", size), "test": images("test", size)}

    def maskcnn(self) -> None:
        both = self.images(MASKCNN_SIZE)
        weights, log = "maskcnn/weights/0.safetensors", "results/maskcnn/training-0.json"
        self.cell("maskcnn.train_network", **both, seed=0, out=weights, log=log)
        for name in self.plan.maskcnn_names():
            method, ratio, seed = name.rsplit("-", 2)
            self.cell(
                "maskcnn.prune_network", weights=weights, test=both["test"], method=method, ratio=ratio, seed=seed,
                file=f"maskcnn/models/{name}.safetensors", out=f"results/maskcnn/{name}.json",
            )  # fmt: skip

    def students(self) -> None:
        both = self.images(self.plan.student_image_size)
        student = self.settings.students.students[0]
        teacher = TEACHER
        self.cell(
            "students.train_stage", **both, student=student, stage="teacher", out=teacher,
            result="results/students/teacher.json",
        )  # fmt: skip
        for stage in STUDENT_STAGES:
            assert all((self.folder / before).exists() for before in stages_before(student, stage))
            self.cell(
                "students.train_stage", **both, student=student, stage=stage, teacher=teacher,
                out=f"students/{student}/weights/{stage}.safetensors",
                result=f"results/students/{student}-{stage}.json",
            )  # fmt: skip

    def snip(self) -> None:
        for method in SNIP_METHODS:
            self.cell(
                "snip.count_weights", method=method, masks=f"snip/masks/{method}.safetensors",
                result=f"results/snip/count-{method}.json",
            )  # fmt: skip
        for variant in SNIP_VARIANTS:
            self.cell(
                "snip.train_variant", variant=variant, out=f"snip/weights/{variant}.safetensors",
                file=f"snip/models/{variant}.safetensors", result=f"results/snip/trained-{variant}.json",
            )  # fmt: skip

    def comparison(self, *wanted: str) -> None:
        """``dense`` and the methods, lottery tickets with all their levels."""
        both = self.images(self.settings.comparison.size)

        def files(name: str) -> dict[str, str]:
            return {
                "out": f"comparison/weights/{name}.safetensors",
                "file": f"comparison/models/{name}.safetensors",
                "result": f"results/comparison/{name}.json",
            }

        self.cell("comparison.train_dense", **both, seed=0, **files("dense-0.0-0"))
        for method in wanted or self.settings.comparison.methods:
            levels = (
                self.settings.comparison.levels
                if method == "lottery"
                else self.settings.comparison.sparsities
            )
            for sparsity in levels:
                name = f"{method}-{sparsity}-0"
                self.cell(
                    "comparison.train_sparse", **both, method=method, sparsity=sparsity, seed=0,
                    **before(self.settings.comparison, "comparison", "dense-0.0", method, str(sparsity), "0"),
                    **files(name), masks=f"comparison/masks/{name}.safetensors",
                )  # fmt: skip

    def int8(self) -> None:
        """After ``students``, whose networks it takes."""
        student = self.plan.int8_student
        for name in self.plan.int8_names():
            pattern, sparsity = name.rsplit("-", 1)
            self.cell(
                "int8.prune_and_quantize", **self.images(self.plan.student_image_size), student=student,
                teacher=TEACHER, distilled=f"students/{student}/weights/distilled.safetensors", pattern=pattern,
                sparsity=sparsity, models="int8/models", result=f"results/int8/{name}.json",
            )  # fmt: skip

    def tradeoff(self) -> None:
        """Every way of the picture."""
        asked = self.settings.tradeoff
        both = self.images(asked.training.size)
        for name in self.plan.tradeoff_names():
            way, amount, seed = name.rsplit("-", 2)
            common = {
                **both,
                "seed": seed,
                "models": "tradeoff/models",
                "result": f"results/tradeoff/{name}.json",
            }
            out = f"tradeoff/weights/{name}.safetensors"
            if way == "dense":
                self.cell("tradeoff.train_dense", **common, multiplier=amount, out=out)
            elif way in WAYS:
                files = before_at_once(asked, way, str(amount), str(seed))
                self.cell("tradeoff.prune_at_once", **common, way=way, speedup=amount, **files)
            else:
                self.cell(
                    "tradeoff.train_sparse", **common, method=way, sparsity=amount, out=out,
                    masks=f"tradeoff/masks/{name}.safetensors",
                    **before(asked.training, "tradeoff", "dense-1.0", way, amount, seed),
                )  # fmt: skip

    def finish(self) -> str:
        """Time everything, write the report, return the page."""
        for family, (baseline, files) in self.plan.families.items():
            self.cell("latency.measure", baseline=baseline, files=files, out=f"results/latency/{family}.json")
        self.cell("report.write", out="./report.html")
        return (self.folder / "report.html").read_text()
