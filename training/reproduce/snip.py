"""Paper 2: SNIP, and SNIP that spares the context branches, on RetinaFace's pyramid and context modules (section 4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from torch import nn

import sparsenet
from sparsenet.detection import Detector
from sparsenet.errors import DataError
from sparsenet.graph import FloatArray
from sparsenet.graph.counts import count_layers, total
from training.checkpoint import ModelInfo, save_model
from training.detection import (
    DetectionConfig,
    GroundTruth,
    MultitaskLoss,
    evaluate_detector,
    load_faces,
    train_detector,
)
from training.detection.drawn import draw_scenes
from training.detection.published import detector_info, load_backbone
from training.detection.train import batches
from training.detection.widerface import AnnotatedImage
from training.models import build_detector
from training.pruning import Masks, find_masks
from training.reproduce.checkpoints import checkpoint_for
from training.reproduce.networks import TRACES
from training.reproduce.results import write_result
from training.reproduce.settings import Settings, SnipSettings

#: What SNIP prunes: every convolution behind the backbone but the heads.
SCOPE = ["fpn.*", "ssh.*"]
#: What modified SNIP leaves whole: the branches of 5×5 and 7×7.
CONTEXT = ["ssh.*.context.*"]
#: ρ = 10^0.5: weights before ÷ weights after.
COMPRESSION = 10**0.5
#: The detector of the paper, whose layers are counted whatever is trained.
COUNTED = "retinaface-resnet50"
#: Drawn scenes to test on, for each one to train on; they begin behind these.
TEST_SHARE = 0.25


def count_weights(settings: Settings, method: str, masks: Path, result: Path) -> None:
    """Cell: the weights that "snip" or "modified-snip" leaves in every layer of RetinaFace with ResNet-50."""
    asked = settings.snip
    model = _initial(asked, COUNTED)
    found = find(asked, model, method)
    masks.parent.mkdir(parents=True, exist_ok=True)
    found.save(masks)
    write_result(
        result,
        {
            "method": method,
            "total": found.total,
            "kept": found.nnz,
            "whole": sum(found[f"{layer}.weight"].numel() for layer in found.info["whole"]),
            "batch": found.info["batches"],
            "layers": [
                {"layer": name.removesuffix(".weight"), "weights": mask.numel(), "kept": int(mask.sum())}
                for name, mask in found.items()
            ],
        },
    )


def train_variant(settings: Settings, variant: str, out: Path, file: Path, result: Path) -> None:
    """Cell: train the detector "unpruned", pruned by "snip" or by "modified-snip"; AP of the engine on test images."""
    asked = settings.snip
    model = _initial(asked, asked.model)
    info = detector_info(asked.model, asked.size, asked.seed)
    masks = None if variant == "unpruned" else find(asked, model, variant)
    images = _in_memory(training_images(asked)) if asked.data is None else training_images(asked)
    trained = train_detector(
        model,
        images,
        _config(asked),
        info,
        hooks=[masks] if masks else [],
        checkpoint=checkpoint_for(out, settings, asked),
        progress=False,
    )
    save_model(out, trained.model, info)
    found = _judge(trained.model, info, asked, file)
    counted = masks or find_masks(model, sparsity=0.0, include=SCOPE)
    write_result(
        result,
        {
            "variant": variant,
            "model": asked.model,
            "total": counted.total,
            "kept": counted.nnz,
            "file": file.stem,
            **found,
            "training": [dataclasses.asdict(epoch) for epoch in trained.history],
        },
    )


def find(asked: SnipSettings, model: nn.Module, method: str) -> Masks:
    """Masks by SNIP's scores on one batch of training images; the same number of weights for both methods."""
    weights = find_masks(model, sparsity=0.0, include=SCOPE).total
    info = detector_info(asked.model, asked.size, asked.seed)
    return find_masks(
        model,
        "snip",
        keep=round(weights / COMPRESSION),
        scope="global",
        include=SCOPE,
        whole=CONTEXT if method == "modified-snip" else None,
        batches=[next(iter(batches(training_images(asked), _config(asked), info)))],
        loss=MultitaskLoss(asked.size, asked.size),
        seed=asked.seed,
        mode=asked.mode,
    )


def training_images(asked: SnipSettings) -> Sequence[AnnotatedImage]:
    """WIDERFACE's training images, at most so many; or drawn scenes."""
    if asked.data is None:
        return draw_scenes(asked.images, asked.size, asked.seed)
    root = Path(asked.data)
    label = root / "train" / "label.txt"
    if label.is_file():  # with RetinaFace's landmarks
        return load_faces(label, root / "train" / "images")[: asked.images]
    return load_faces(
        root / "wider_face_split" / "wider_face_train_bbx_gt.txt", root / "WIDER_train" / "images"
    )[: asked.images]


def test_images(asked: SnipSettings) -> tuple[Sequence[AnnotatedImage], GroundTruth]:
    """WIDERFACE's validation images and their official settings; or drawn scenes, every face counted in each."""
    if asked.data is None:
        scenes = draw_scenes(max(1, round(TEST_SHARE * asked.images)), asked.size, asked.seed + 1)
        return scenes, GroundTruth.of(scenes)
    root = Path(asked.data)
    faces = load_faces(root / "wider_face_split" / "wider_face_val_bbx_gt.txt", root / "WIDER_val" / "images")
    return faces, GroundTruth.load(root / "ground_truth")


def keeps_backbone(asked: SnipSettings) -> bool:
    """Whether the backbone is trained already and stays as it is, as in the paper."""
    return asked.backbone is not None and asked.model == COUNTED


def _initial(asked: SnipSettings, name: str) -> nn.Module:
    model = build_detector(name, asked.seed)
    if asked.backbone is not None and name == COUNTED:
        load_backbone(model, asked.backbone)
    return model


def _config(asked: SnipSettings) -> DetectionConfig:
    return DetectionConfig(
        epochs=asked.epochs,
        batch_size=asked.batch_size,
        optimizer=asked.optimizer,
        lr=asked.lr,
        decay_at=asked.decay_at,
        size=asked.size,
        freeze=("backbone.*",) if keeps_backbone(asked) else (),
        clip_norm=10.0,
        seed=asked.seed,
    )


def _judge(model: nn.Module, info: ModelInfo, asked: SnipSettings, file: Path) -> dict[str, object]:
    graph = TRACES.graph(model, info)
    file.parent.mkdir(parents=True, exist_ok=True)
    sparsenet.save(graph, file)
    engine = sparsenet.load(file, threads=1)

    def network(x: FloatArray) -> tuple[FloatArray, ...]:
        return tuple(engine(x))

    images, truth = test_images(asked)
    precision = evaluate_detector(
        Detector(network, asked.size, asked.size, info.mean, info.std), images, truth, progress=False
    )
    sums = total(count_layers(graph))
    return {
        **{f"ap_{name}": value for name, value in precision._asdict().items()},
        "images": len(images),
        "macs": sums.macs,
        "nonzero_macs": sums.nonzero_macs,
        "bytes": file.stat().st_size,
    }


@dataclass(frozen=True)
class _Held:
    """An annotated image that was read once."""

    name: str
    boxes: FloatArray
    landmarks: FloatArray
    image: Image.Image
    frame: tuple[int, int]

    def read(self) -> tuple[Image.Image, tuple[int, int]]:
        return self.image, self.frame


def _in_memory(images: Sequence[AnnotatedImage]) -> list[AnnotatedImage]:
    """Drawn once, not in every epoch."""
    if not images:
        raise DataError("there are no images to train on")
    return [_Held(one.name, one.boxes, one.landmarks, *one.read()) for one in images]
