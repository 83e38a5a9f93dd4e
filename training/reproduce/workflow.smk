# The sweep as Snakemake sees it: one rule per kind of cell, one job per file. Working directory: the run's folder.
#
# Outputs appear whole or not at all, and a training keeps a checkpoint beside its weights, so after a kill only what
# was not finished runs again. A rule runs anew when its part of the settings changes, too.

import sys
from pathlib import Path

from training.reproduce import plan
from training.reproduce.at_once import WAYS
from training.reproduce.comparison import METHODS
from training.reproduce.settings import Settings

SETTINGS = Settings.load(Path("settings.json"))
PLAN = plan.Plan(SETTINGS)
# exec: the cell becomes the scheduler's own child, and as it knows whose, it can tell when that is gone.
CELL = f"OMP_NUM_THREADS={{threads}} SPARSENET_SWEEP=$PPID exec '{sys.executable}' -m training.reproduce.cell"


# Of this machine's GPUs there are as many as it has; on a cluster its scheduler counts them.
resource_scopes:
    gpu="local",


wildcard_constraints:
    split="train|test",
    size=r"\d+",
    seed=r"\d+",
    ratio=r"[\d.]+",
    multiplier=r"[\d.]+",
    speedup=r"[\d.]+",
    sparsity=r"[\d.]+",
    method="[a-z-]+",
    student="[a-z0-9-]+",
    pattern="[a-z0-9]+",
    stage="[a-z-]+",


rule all:
    input:
        "report.html",


onsuccess:
    for checkpoint in Path().glob("*/weights/*.checkpoint"):
        checkpoint.unlink()


rule images:
    output:
        "images/{split}-{size}.safetensors",
    params:
        settings=[SETTINGS.data, SETTINGS.images],
    log:
        "logs/images/{split}-{size}.log",
    shell:
        CELL + " images.collect settings.json split={wildcards.split} size={wildcards.size} out={output} > {log} 2>&1"


# --- paper 1, tables 1 and 2 ----------------------------------------------------------------------------------


rule maskcnn_train:
    input:
        images=plan.images("train", plan.MASKCNN_SIZE),
        test=plan.images("test", plan.MASKCNN_SIZE),
    output:
        weights="maskcnn/weights/{seed}.safetensors",
        log="results/maskcnn/training-{seed}.json",
    params:
        settings=PLAN.maskcnn_training,
    resources:
        gpu=1,
    log:
        "logs/maskcnn/train-{seed}.log",
    shell:
        CELL + " maskcnn.train_network settings.json images={input.images} test={input.test} seed={wildcards.seed}"
        " out={output.weights} log={output.log} > {log} 2>&1"


rule maskcnn_prune:
    input:
        weights="maskcnn/weights/{seed}.safetensors",
        test=plan.images("test", plan.MASKCNN_SIZE),
    output:
        file="maskcnn/models/{method}-{ratio}-{seed}.safetensors",
        result="results/maskcnn/{method}-{ratio}-{seed}.json",
    params:
        settings=SETTINGS.maskcnn.test_images,
    log:
        "logs/maskcnn/{method}-{ratio}-{seed}.log",
    shell:
        CELL + " maskcnn.prune_network settings.json weights={input.weights} test={input.test}"
        " method={wildcards.method} ratio={wildcards.ratio} seed={wildcards.seed}"
        " file={output.file} out={output.result} > {log} 2>&1"


# --- paper 1, tables 3 to 5 -----------------------------------------------------------------------------------


rule teacher:
    input:
        images=plan.images("train", PLAN.student_image_size),
        test=plan.images("test", PLAN.student_image_size),
    output:
        # Not the weights: an unfinished cell that is repeated finds what it trained.
        "results/students/teacher.json",
    params:
        settings=PLAN.teacher_training,
        weights=plan.TEACHER,
        student=SETTINGS.students.students[0],
    resources:
        gpu=1,
    log:
        "logs/students/teacher.log",
    shell:
        CELL + " students.train_stage settings.json images={input.images} test={input.test} student={params.student}"
        " stage=teacher out={params.weights} result={output} > {log} 2>&1"


rule student:
    input:
        images=plan.images("train", PLAN.student_image_size),
        test=plan.images("test", PLAN.student_image_size),
        teacher="results/students/teacher.json",
        before=lambda wildcards: plan.stages_before(wildcards.student, wildcards.stage),
    output:
        file="students/{student}/models/{stage}-f32.safetensors",
        result="results/students/{student}-{stage}.json",
    params:
        settings=PLAN.student_training,
        teacher=plan.TEACHER,
        weights="students/{student}/weights/{stage}.safetensors",
    wildcard_constraints:
        student="|".join(SETTINGS.students.students),
    resources:
        gpu=1,
    log:
        "logs/students/{student}-{stage}.log",
    shell:
        CELL + " students.train_stage settings.json images={input.images} test={input.test} teacher={params.teacher}"
        " student={wildcards.student} stage={wildcards.stage} out={params.weights} result={output.result} > {log} 2>&1"


# --- paper 2 --------------------------------------------------------------------------------------------------


rule snip_count:
    output:
        masks="snip/masks/{method}.safetensors",
        result="results/snip/count-{method}.json",
    params:
        settings=plan.snip_batch(SETTINGS),
    log:
        "logs/snip/count-{method}.log",
    shell:
        CELL + " snip.count_weights settings.json method={wildcards.method} masks={output.masks}"
        " result={output.result} > {log} 2>&1"


rule snip_train:
    output:
        weights="snip/weights/{method}.safetensors",
        file="snip/models/{method}.safetensors",
        result="results/snip/trained-{method}.json",
    params:
        settings=list(vars(SETTINGS.snip).values()),
    resources:
        gpu=1,
    log:
        "logs/snip/train-{method}.log",
    shell:
        CELL + " snip.train_variant settings.json variant={wildcards.method} out={output.weights} file={output.file}"
        " result={output.result} > {log} 2>&1"


# --- the comparison -------------------------------------------------------------------------------------------


rule dense:
    input:
        images=plan.images("train", SETTINGS.comparison.size),
        test=plan.images("test", SETTINGS.comparison.size),
    output:
        weights="comparison/weights/dense-0.0-{seed}.safetensors",
        file="comparison/models/dense-0.0-{seed}.safetensors",
        result="results/comparison/dense-0.0-{seed}.json",
    params:
        settings=plan.comparison_training(SETTINGS, SETTINGS.comparison),
    resources:
        gpu=1,
    log:
        "logs/comparison/dense-{seed}.log",
    shell:
        CELL + " comparison.train_dense settings.json images={input.images} test={input.test} seed={wildcards.seed}"
        " out={output.weights} file={output.file} result={output.result} > {log} 2>&1"


def before(wildcards):
    """What methods of the comparison start from."""
    return plan.before(SETTINGS.comparison, "comparison", "dense-0.0", *wildcards)


rule sparse:
    input:
        unpack(before),
        images=plan.images("train", SETTINGS.comparison.size),
        test=plan.images("test", SETTINGS.comparison.size),
    output:
        weights="comparison/weights/{method}-{sparsity}-{seed}.safetensors",
        masks="comparison/masks/{method}-{sparsity}-{seed}.safetensors",
        file="comparison/models/{method}-{sparsity}-{seed}.safetensors",
        result="results/comparison/{method}-{sparsity}-{seed}.json",
    wildcard_constraints:
        method="|".join(METHODS),
    params:
        settings=plan.comparison_training(SETTINGS, SETTINGS.comparison),
        before=lambda wildcards: " ".join(f"{key}={file}" for key, file in before(wildcards).items()),
        levels=lambda wildcards: SETTINGS.comparison.levels if METHODS[wildcards.method].kind == "ticket" else (),
    resources:
        gpu=1,
    log:
        "logs/comparison/{method}-{sparsity}-{seed}.log",
    shell:
        CELL + " comparison.train_sparse settings.json images={input.images} test={input.test}"
        " method={wildcards.method} sparsity={wildcards.sparsity} seed={wildcards.seed} {params.before}"
        " out={output.weights} masks={output.masks} file={output.file} result={output.result} > {log} 2>&1"


# --- zeros and eight bits -------------------------------------------------------------------------------------


rule int8:
    input:
        images=plan.images("train", PLAN.student_image_size),
        test=plan.images("test", PLAN.student_image_size),
        teacher="results/students/teacher.json",
        distilled=f"results/students/{PLAN.int8_student}-distilled.json",
    output:
        *plan.int8_files("{pattern}-{sparsity}"),
        result="results/int8/{pattern}-{sparsity}.json",
    params:
        settings=[PLAN.student_training, plan.int8_training(SETTINGS)],
        teacher=plan.TEACHER,
        distilled=f"students/{PLAN.int8_student}/weights/distilled.safetensors",
        student=PLAN.int8_student,
    resources:
        gpu=1,
    log:
        "logs/int8/{pattern}-{sparsity}.log",
    shell:
        CELL + " int8.prune_and_quantize settings.json images={input.images} test={input.test} student={params.student}"
        " teacher={params.teacher} distilled={params.distilled} pattern={wildcards.pattern}"
        " sparsity={wildcards.sparsity} models=int8/models result={output.result} > {log} 2>&1"


# --- macro F1 against milliseconds ------------------------------------------------------------------------------


rule tradeoff_dense:
    input:
        images=plan.images("train", SETTINGS.tradeoff.training.size),
        test=plan.images("test", SETTINGS.tradeoff.training.size),
    output:
        *plan.tradeoff_files("dense-{multiplier}-{seed}"),
        weights="tradeoff/weights/dense-{multiplier}-{seed}.safetensors",
        result="results/tradeoff/dense-{multiplier}-{seed}.json",
    params:
        settings=[plan.comparison_training(SETTINGS, SETTINGS.tradeoff.training), SETTINGS.tradeoff.samples],
    resources:
        gpu=1,
    log:
        "logs/tradeoff/dense-{multiplier}-{seed}.log",
    shell:
        CELL + " tradeoff.train_dense settings.json images={input.images} test={input.test}"
        " multiplier={wildcards.multiplier} seed={wildcards.seed} out={output.weights} models=tradeoff/models"
        " result={output.result} > {log} 2>&1"


def before_at_once(wildcards):
    """The files that pruning at once starts from."""
    return plan.before_at_once(SETTINGS.tradeoff, *wildcards)


# Measures while others run: by processor time, each network in turn with the one that it is compared to.
rule tradeoff_at_once:
    input:
        unpack(before_at_once),
        images=plan.images("train", SETTINGS.tradeoff.training.size),
        test=plan.images("test", SETTINGS.tradeoff.training.size),
    output:
        *plan.tradeoff_files("{way}-{speedup}-{seed}"),
        result="results/tradeoff/{way}-{speedup}-{seed}.json",
    wildcard_constraints:
        way="|".join(WAYS),
    params:
        settings=SETTINGS.tradeoff.samples,
        before=lambda wildcards: " ".join(f"{key}={file}" for key, file in before_at_once(wildcards).items()),
    log:
        "logs/tradeoff/{way}-{speedup}-{seed}.log",
    shell:
        CELL + " tradeoff.prune_at_once settings.json images={input.images} test={input.test} way={wildcards.way}"
        " speedup={wildcards.speedup} seed={wildcards.seed} {params.before} models=tradeoff/models"
        " result={output.result} > {log} 2>&1"


def before_tradeoff(wildcards):
    """The same where accuracy is drawn against milliseconds."""
    return plan.before(SETTINGS.tradeoff.training, "tradeoff", "dense-1.0", *wildcards)


rule tradeoff_sparse:
    input:
        unpack(before_tradeoff),
        images=plan.images("train", SETTINGS.tradeoff.training.size),
        test=plan.images("test", SETTINGS.tradeoff.training.size),
    output:
        *plan.tradeoff_files("{method}-{sparsity}-{seed}"),
        weights="tradeoff/weights/{method}-{sparsity}-{seed}.safetensors",
        masks="tradeoff/masks/{method}-{sparsity}-{seed}.safetensors",
        result="results/tradeoff/{method}-{sparsity}-{seed}.json",
    wildcard_constraints:
        method="|".join(METHODS),
    params:
        settings=[plan.comparison_training(SETTINGS, SETTINGS.tradeoff.training), SETTINGS.tradeoff.samples],
        before=lambda wildcards: " ".join(f"{key}={file}" for key, file in before_tradeoff(wildcards).items()),
        levels=lambda wildcards: (
            SETTINGS.tradeoff.training.levels if METHODS[wildcards.method].kind == "ticket" else ()
        ),
    resources:
        gpu=1,
    log:
        "logs/tradeoff/{method}-{sparsity}-{seed}.log",
    shell:
        CELL + " tradeoff.train_sparse settings.json images={input.images} test={input.test}"
        " method={wildcards.method} sparsity={wildcards.sparsity} seed={wildcards.seed} {params.before}"
        " out={output.weights} masks={output.masks} models=tradeoff/models result={output.result} > {log} 2>&1"


# --- time and report ------------------------------------------------------------------------------------------


# Alone: it takes every core, so nothing else runs on this machine meanwhile, and two never run at once.
rule latency:
    input:
        baseline=lambda wildcards: PLAN.families[wildcards.family].baseline,
        files=lambda wildcards: PLAN.families[wildcards.family].files,
    output:
        "results/latency/{family}.json",
    params:
        settings=[SETTINGS.threads, SETTINGS.seconds],
        files=lambda wildcards, input: " ".join(f"files={file}" for file in input.files),
    threads: workflow.cores
    resources:
        timing=1,
    log:
        "logs/latency/{family}.log",
    shell:
        CELL + " latency.measure settings.json baseline={input.baseline} {params.files} out={output} > {log} 2>&1"


rule report:
    input:
        PLAN.results,
    output:
        "report.html",
    params:
        settings=SETTINGS.sections,
    log:
        "logs/report.log",
    shell:
        CELL + " report.write settings.json out={output} > {log} 2>&1"
