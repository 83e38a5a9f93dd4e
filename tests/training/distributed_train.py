"""Run by torchrun (or alone) in test_train: trains two steps and writes the losses and test logits of process 0."""

from __future__ import annotations

import sys

import torch

from training.evaluate import predict
from training.loop.config import TrainConfig
from training.models import build_model
from training.train import train


def main(path: str) -> None:
    from tests.training.tiny_images import tiny_images

    torch.set_num_threads(1)
    config = TrainConfig(stages=((32, 2),), batch_size=8, lr=1e-3, precision="fp32", seed=3)
    model = build_model("minixception-128", 4, seed=1)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0  # each process draws its own; without it the two runs are the same function
    result = train(model, tiny_images(16), config, progress=False)
    import torch.distributed as dist

    if not dist.is_initialized() or dist.get_rank() == 0:
        logits = predict(result.model, tiny_images(8, seed=5), 32)
        torch.save({"losses": [r.train_loss for r in result.history], "logits": logits}, path)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1])
