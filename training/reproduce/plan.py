"""Which cells a run has: names of files, the same for the workflow that makes them and the report that reads them."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from training.reproduce.settings import Settings

MASKCNN_SIZE = 124
#: Stages of a student, and the stages each one continues.
STUDENT_STAGES: dict[str, tuple[str, ...]] = {
    "scratch": (),
    "scratch-pruned": ("scratch",),
    "distilled": (),
    "distilled-pruned": ("distilled",),
}
SNIP_METHODS = ("snip", "modified-snip")
SNIP_VARIANTS = ("unpruned", *SNIP_METHODS)
TEACHER = "students/teacher/weights/teacher.safetensors"
#: How the weights of one network are stored and computed: in float32, and in integers after or by training.
INT8_FORMS = ("f32", "int8", "trained")
PRUNING_METHODS = ("unstructured", "input-channels", "output-channels")


class Family(NamedTuple):
    """Model files that are timed together, each beside ``baseline``, the network nothing was pruned from."""

    baseline: str
    files: list[str]


class Plan:
    """File names of every cell that ``settings`` asks for, relative to the run's folder."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def results(self) -> list[str]:
        """Every result that the report reads."""
        found = []
        if "maskcnn" in self.settings.sections:
            found += [f"results/maskcnn/training-{seed}.json" for seed in self.settings.maskcnn.seeds]
            found += [f"results/maskcnn/{name}.json" for name in self.maskcnn_names()]
        if "students" in self.settings.sections:
            found += ["results/students/teacher.json"]
            found += [
                f"results/students/{student}-{stage}.json"
                for student in self.settings.students.students
                for stage in STUDENT_STAGES
            ]
        if "snip" in self.settings.sections:
            found += [f"results/snip/count-{method}.json" for method in SNIP_METHODS]
            found += [f"results/snip/trained-{variant}.json" for variant in SNIP_VARIANTS]
        if "comparison" in self.settings.sections:
            found += [f"results/comparison/{name}.json" for name in self.comparison_names()]
        if "int8" in self.settings.sections:
            found += [f"results/int8/{name}.json" for name in self.int8_names()]
        return found + [f"results/latency/{family}.json" for family in self.families]

    @property
    def families(self) -> dict[str, Family]:
        """What is timed."""
        found = {}
        if "maskcnn" in self.settings.sections:
            names = [
                name for name in self.maskcnn_names() if name.endswith(f"-{self.settings.maskcnn.seeds[0]}")
            ]
            files = [f"maskcnn/models/{name}.safetensors" for name in names]
            found["maskcnn"] = Family(files[0], files)
        if "students" in self.settings.sections:
            for student in self.settings.students.students:
                files = [f"students/{student}/models/{stage}-f32.safetensors" for stage in STUDENT_STAGES]
                found[f"students-{student}"] = Family(files[0], files)
        if "snip" in self.settings.sections:
            files = [f"snip/models/{variant}.safetensors" for variant in SNIP_VARIANTS]
            found["snip"] = Family(files[0], files)
        if "comparison" in self.settings.sections:
            files = [f"comparison/models/{name}.safetensors" for name in self.comparison_names()]
            found["comparison"] = Family(files[0], files)
        if "int8" in self.settings.sections:
            files = [file for name in self.int8_names() for file in int8_files(name)]
            found["int8"] = Family(files[0], files)
        return found

    def maskcnn_names(self) -> list[str]:
        """``method-ratio-seed`` of tables 1 and 2; at ratio 0 all methods are the same network."""
        asked = self.settings.maskcnn
        pruned = [
            (method, ratio) for method in PRUNING_METHODS for ratio in asked.ratios if ratio > 0
        ]  # fmt: skip
        return [
            f"{method}-{ratio}-{seed}"
            for seed in asked.seeds
            for method, ratio in [(PRUNING_METHODS[0], 0.0), *pruned]
        ]

    def comparison_names(self) -> list[str]:
        """``dense-0.0-seed`` and ``method-sparsity-seed`` of the comparison, dense ones first."""
        asked = self.settings.comparison
        return [f"dense-0.0-{seed}" for seed in asked.seeds] + [
            f"{method}-{sparsity}-{seed}"
            for method in asked.methods
            for sparsity in asked.sparsities
            for seed in asked.seeds
        ]

    def int8_names(self) -> list[str]:
        """``pattern-sparsity`` of zeros times eight bits, the network without zeros first."""
        asked = self.settings.int8
        pruned = [f"{pattern}-{sparsity}" for pattern in asked.patterns for sparsity in asked.sparsities]
        return ["dense-0.0", *pruned]

    @property
    def int8_student(self) -> str:
        """The network that is pruned and quantized."""
        return self.settings.students.students[-1]

    def level_before(self, method: str, sparsity: str, seed: str) -> str:
        """Name of the network that a lottery ticket of this level is drawn from."""
        position = self.settings.comparison.levels.index(float(sparsity))
        if position == 0:
            return f"dense-0.0-{seed}"
        return f"{method}-{self.settings.comparison.levels[position - 1]}-{seed}"

    @property
    def student_image_size(self) -> int:
        """Side of the largest image that any stage of tables 3 to 5 sees."""
        asked = self.settings.students
        stages = (*asked.teacher_stages, *asked.student_stages, *asked.prune_stages)
        return max(size for size, _ in stages)

    # What a change of settings must repeat: the part of them that a rule depends on.

    @property
    def maskcnn_training(self) -> list[Any]:
        """For MaskCNN."""
        asked = self.settings.maskcnn
        return [
            asked.epochs, asked.batch_size, asked.lr, asked.train_images, asked.test_images, self.settings.augment
        ]  # fmt: skip

    @property
    def teacher_training(self) -> list[Any]:
        """For the teacher."""
        asked = self.settings.students
        return [
            asked.teacher, asked.teacher_stages, asked.batch_size, asked.teacher_lr, asked.seed, self.settings.augment
        ]  # fmt: skip

    @property
    def student_training(self) -> list[Any]:
        """For the students; which of them there are is no matter of training."""
        values = dataclasses.asdict(self.settings.students)
        del values["students"]
        return [*values.values(), self.settings.augment]


def int8_files(name: str) -> list[str]:
    """Model files of one network."""
    return [f"int8/models/{name}-{form}.safetensors" for form in INT8_FORMS]


def int8_training(settings: Settings) -> list[Any]:
    """For zeros times eight bits; which patterns and budgets there are is no matter of one training."""
    values = dataclasses.asdict(settings.int8)
    for name in ("patterns", "sparsities"):
        del values[name]
    return list(values.values())


def comparison_training(settings: Settings) -> list[Any]:
    """For the comparison; which methods, budgets and seeds there are is no matter of one training."""
    values = dataclasses.asdict(settings.comparison)
    for name in ("methods", "sparsities", "seeds", "levels"):
        del values[name]
    return [*values.values(), settings.augment]


def snip_batch(settings: Settings) -> list[Any]:
    """For what SNIP leaves of RetinaFace with ResNet-50."""
    asked = settings.snip
    return [asked.data, asked.backbone, asked.size, asked.images, asked.batch_size, asked.seed]


def images(split: str, size: int) -> str:
    """File of the run's images."""
    return f"images/{split}-{size}.safetensors"


def stages_before(student: str, stage: str) -> list[str]:
    """Results of the stages that a stage continues."""
    return [f"results/students/{student}-{before}.json" for before in STUDENT_STAGES[stage]]
