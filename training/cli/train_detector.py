"""``sparsenet train-detector``: a face detector, from scratch or from trained weights, pruned or not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparsenet.commands.options import THREADS, FiniteRange, json_option
from sparsenet.commands.several import Several, SeveralValues
from sparsenet.io.files import require_outputs
from sparsenet.text.table import to_json
from training.cli.detection_options import annotated_images, faces_options
from training.cli.options import use_threads
from training.detection.config import CROP_SCALES, DetectionConfig
from training.models.registry import DETECTORS, build_detector

if TYPE_CHECKING:
    from training.detection.distill import TeacherLoss
    from training.detection.train import DetectionEpoch

EPILOG = """\b
Examples:
  sparsenet train-detector retinaface-resnet50 --annotations train/label.txt --images train/images \\
      --backbone resnet50.pth --freeze 'backbone.*' -o detector.safetensors
  sparsenet train-detector retinaface-mobilenet0.25 --size 128 --epochs 20 -o drawn.safetensors   # drawn scenes
  sparsenet train-detector retinaface-mobilenet0.25 --start mobilenet0.25_Final.pth --masks masks.safetensors \\
      --annotations wider_face_train_bbx_gt.txt --images WIDER_train/images --epochs 10 -o pruned.safetensors
  sparsenet train-detector ssd-mobilenet0.25 --start pruned.safetensors --teacher ssd.safetensors --size 256 \\
      --epochs 10 -o finetuned.safetensors                                               # its zeros stay"""


@click.command(cls=SeveralValues, epilog=EPILOG)
@click.argument("model", type=click.Choice(list(DETECTORS)))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Weights file to write.")
@faces_options
@click.option(
    "--start", type=click.Path(path_type=Path),
    help="Weights to start from, ours or a published .pth; zeros of pruned ones stay zero.",
)  # fmt: skip
@click.option("--backbone", type=click.Path(path_type=Path),
              help="Classifier's weights (.pth) that the backbone starts from.")  # fmt: skip
@click.option("--masks", type=click.Path(path_type=Path), help="Mask file: these weights are and stay zero.")
@click.option("--teacher", type=click.Path(path_type=Path),
              help="Weights of a trained detector, whose outputs are learned instead of the faces.")  # fmt: skip
@click.option(
    "--freeze", metavar="PATTERN", multiple=True, help="Parameters that do not learn, e.g. 'backbone.*'."
)
@click.option("--freeze-statistics", is_flag=True, help="Keep every BatchNorm's running statistics.")
@click.option("--epochs", type=click.IntRange(1), default=100, show_default=True)
@click.option("--batch-size", type=click.IntRange(1), default=2, show_default=True)
@click.option("--optimizer", type=click.Choice(["sgd", "adamw"]), default="sgd", show_default=True)
@click.option("--lr", type=FiniteRange(0, min_open=True), default=1e-3, show_default=True,
              help="Learning rate; a tenth after 70 % of the epochs, a hundredth after 90 %.")  # fmt: skip
@click.option("--size", type=click.IntRange(32), default=640, show_default=True, help="Side of the crops.")
@click.option("--scales", cls=Several, type=FiniteRange(0.01, 1), default=CROP_SCALES, metavar="S...",
              show_default=True, help="Sides of the crops in units of the image's shorter side.")  # fmt: skip
@click.option("--box-weight", type=FiniteRange(0), default=2.0, show_default=True, help="λ1 of the loss.")
@click.option("--landmark-weight", type=FiniteRange(0), default=1.0, show_default=True, help="λ2 of it.")
@click.option("--checkpoint", type=click.Path(path_type=Path),
              help="Written after every epoch; an interrupted run continues from it.")  # fmt: skip
@click.option(
    "--workers", type=click.IntRange(0), default=0, show_default=True, help="Processes that read images."
)
@click.option("--threads", type=THREADS, help="Threads PyTorch uses.  [default: its own choice]")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--quiet", is_flag=True, help="No progress bars.")
@json_option
def train_detector(
    model: str,
    output: Path,
    start: Path | None,
    backbone: Path | None,
    masks: Path | None,
    teacher: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train the face detector MODEL on annotated images and save its weights.

    Defaults are those of the SNIP paper's RetinaFace: 100 epochs, batches of 2, SGD with momentum 0.9.
    """
    from training.checkpoint import save_model
    from training.detection.published import detector_info, load_backbone, open_detector
    from training.detection.train import train_detector as run_training
    from training.detection.widerface import FaceImage
    from training.pruning import Masks

    use_threads(options["threads"])
    require_outputs(
        [output, options["checkpoint"]], [start, backbone, masks, teacher, options["annotations"]]
    )
    size, seed, quiet = options["size"], options["seed"], options["quiet"]
    if start is not None:
        network, info = open_detector(start, size)
        if info.model != model:
            raise click.UsageError(f"{start} holds '{info.model}', not '{model}'")
        info = replace(info, seed=seed)
    else:
        network, info = build_detector(model, seed), detector_info(model, size, seed)
    if backbone is not None:
        load_backbone(network, backbone)
    images = annotated_images(options, size)
    require_outputs(
        [output, options["checkpoint"]], [image.path for image in images if isinstance(image, FaceImage)]
    )
    names = DetectionConfig.__dataclass_fields__
    config = DetectionConfig(**{name: value for name, value in options.items() if name in names})
    held = Masks.load(masks) if masks else Masks.from_zeros(network)
    result = run_training(
        network,
        images,
        config,
        info,
        loss=_towards(teacher, config) if teacher else None,
        hooks=[held] if masks or held.sparsity else [],
        checkpoint=options["checkpoint"],
        progress=not quiet,
        on_epoch=None if quiet else _report,
    )
    save_model(output, result.model, info)
    losses = [record.loss for record in result.history]
    if as_json:
        click.echo(to_json({"weights": str(output), "images": len(images), "loss": losses}))
    else:
        click.echo(f"trained on {len(images)} images, loss {losses[0]:.3f} → {losses[-1]:.3f}: {output}")


def _towards(teacher: Path, config: DetectionConfig) -> TeacherLoss:
    from training.detection.distill import TeacherLoss
    from training.detection.published import open_detector
    from training.detection.train import multitask_loss

    return TeacherLoss(open_detector(teacher, config.size)[0], multitask_loss(config))


def _report(record: DetectionEpoch) -> None:
    click.echo(f"epoch {record.epoch}: loss {record.loss:.4f}", err=True)
