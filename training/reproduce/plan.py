"""Which cells a run has: names of files, the same for the workflow that makes them and the report that reads them."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from training.reproduce.settings import ComparisonSettings, Settings, TradeoffSettings

MASKCNN_SIZE = 124
#: Stages of a student, and the stages each one continues.
STUDENT_STAGES: dict[str, tuple[str, ...]] = {
    "scratch": (),
    "scratch-pruned": ("scratch",),
    "distilled": (),
    "distilled-pruned": ("distilled",),
}
#: The way of ``at_once.WAYS`` that the others of the same network are to be as fast as, and the one that starts from a
#: narrower network.
CHOSEN, NARROW = "at-once", "narrow-at-once"
SNIP_METHODS = ("snip", "modified-snip")
SNIP_VARIANTS = ("unpruned", *SNIP_METHODS)
TEACHER = "students/teacher/weights/teacher.safetensors"
#: How the weights of one network are stored and computed: in float32, and in integers after or by training.
INT8_FORMS = ("f32", "int8", "trained")
#: The same where nothing is trained in integers.
TRADEOFF_FORMS = ("f32", "int8")
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
        if "tradeoff" in self.settings.sections:
            found += [f"results/tradeoff/{name}.json" for name in self.tradeoff_names()]
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
        if "tradeoff" in self.settings.sections:
            for seed in self.settings.tradeoff.training.seeds:
                names = [name for name in self.tradeoff_names() if name.endswith(f"-{seed}")]
                files = [file for name in names for file in tradeoff_files(name)]
                found[f"tradeoff-{seed}"] = Family(files[0], files)
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

    def tradeoff_names(self) -> list[str]:
        """``way-amount-seed`` of the picture of all ways, the dense network first."""
        asked = self.settings.tradeoff
        return [f"{way}-{amount}-{seed}" for seed in asked.training.seeds for way, amount in ways(asked)]

    @property
    def int8_student(self) -> str:
        """The network that is pruned and quantized."""
        return self.settings.students.students[-1]

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
            asked.epochs, asked.batch_size, asked.lr, asked.train_images, asked.test_images, self.settings.augment,
            self.settings.precision,
        ]  # fmt: skip

    @property
    def teacher_training(self) -> list[Any]:
        """For the teacher."""
        asked = self.settings.students
        return [
            asked.teacher, asked.teacher_stages, asked.batch_size, asked.teacher_lr, asked.seed, self.settings.augment,
            self.settings.precision,
        ]  # fmt: skip

    @property
    def student_training(self) -> list[Any]:
        """For the students; which of them there are is no matter of training."""
        values = dataclasses.asdict(self.settings.students)
        del values["students"]
        return [*values.values(), self.settings.augment, self.settings.precision]


def int8_files(name: str) -> list[str]:
    """Model files of one network."""
    return [f"int8/models/{name}-{form}.safetensors" for form in INT8_FORMS]


def int8_training(settings: Settings) -> list[Any]:
    """For zeros times eight bits; which patterns and budgets there are is no matter of one training."""
    values = dataclasses.asdict(settings.int8)
    for name in ("patterns", "sparsities"):
        del values[name]
    return list(values.values())


def comparison_training(settings: Settings, asked: ComparisonSettings) -> list[Any]:
    """For the comparison and what trains like it; which methods, budgets and seeds there are is no matter of one
    training.
    """
    values = dataclasses.asdict(asked)
    for name in ("methods", "sparsities", "seeds", "levels"):
        del values[name]
    return [*values.values(), settings.augment, settings.precision]


def before(
    asked: ComparisonSettings, folder: str, unpruned: str, method: str, sparsity: str, seed: str
) -> dict[str, str]:
    """What a method starts from: weights that are ``trained``, and ``within`` which masks a lottery ticket is drawn.

    Args:
        asked: the comparison.
        folder: its files.
        unpruned: name of its network without zeros, but for the seed.
        method, sparsity, seed: of the network to be made.
    """
    from training.reproduce.comparison import METHODS

    kind = METHODS[method].kind
    position = asked.levels.index(float(sparsity)) if kind == "ticket" else 0
    if kind == "foresight":
        return {}
    name = f"{method}-{asked.levels[position - 1]}" if position else unpruned
    found = {"trained": f"{folder}/weights/{name}-{seed}.safetensors"}
    return found | ({"within": f"{folder}/masks/{name}-{seed}.safetensors"} if position else {})


def ways(asked: TradeoffSettings) -> list[tuple[str, float]]:
    """Ways and amounts: multipliers of the widths of dense networks, then how many times as fast pruning at once makes
    the whole one and the narrow one, then sparsities of those that are trained.
    """
    return [
        *(("dense", amount) for amount in (1.0, *asked.multipliers)),
        *((way, amount) for way in asked.at_once for amount in asked.speedups),
        *((NARROW, amount) for amount in asked.narrow_speedups),
        *((way, amount) for way in asked.training.methods for amount in asked.training.sparsities),
    ]


def pruned_from(asked: TradeoffSettings, way: str) -> str:
    """The dense network, without its seed, that a way makes sparse."""
    return f"dense-{asked.narrow if way == NARROW else 1.0}"


def before_at_once(asked: TradeoffSettings, way: str, speedup: str, seed: str) -> dict[str, str]:
    """Model files that a way to prune at once looks at: the ``dense`` one, and the one to be as fast as, ``chosen``."""
    found = {"dense": tradeoff_files(f"{pruned_from(asked, way)}-{seed}")[0]}
    if way not in (CHOSEN, NARROW):
        found["chosen"] = tradeoff_files(f"{CHOSEN}-{speedup}-{seed}")[0]
    return found


def tradeoff_files(name: str) -> list[str]:
    """Model files of one network."""
    return [f"tradeoff/models/{name}-{form}.safetensors" for form in TRADEOFF_FORMS]


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
