"""The example model and its data: a small CNN trained on scikit-learn's handwritten digits.

    python examples/train_digits.py

This writes digits.onnx (opset 17, BatchNormalization not folded, dynamic batch), digits.pt (a TorchScript trace),
digits_calibration.npz and digits_evaluation.npz beside this file. The seed is fixed: a machine always writes the
same bytes.
"""

import zipfile
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

FOLDER = Path(__file__).parent
EPOCHS = 40
CALIBRATION = 256


class Digits(nn.Module):
    """A classifier of 8x8 grey digits: a stem, a residual block, a depthwise-separable block and two linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU())
        self.residual = nn.Sequential(
            nn.Conv2d(24, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU(),
            nn.Conv2d(24, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24),
        )  # fmt: skip
        self.depthwise = nn.Sequential(
            nn.Conv2d(24, 24, 3, stride=2, padding=1, groups=24, bias=False), nn.BatchNorm2d(24), nn.ReLU6(),
            nn.Conv2d(24, 48, 1, bias=False), nn.BatchNorm2d(48), nn.ReLU6(),
        )  # fmt: skip
        self.hidden = nn.Linear(48 * 16, 64)
        self.classifier = nn.Linear(64, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.stem(images)
        x = torch.relu(x + self.residual(x))
        x = torch.flatten(self.depthwise(x), 1)
        logits: torch.Tensor = self.classifier(torch.relu(self.hidden(x)))
        return logits


def main() -> None:
    torch.manual_seed(0)
    torch.use_deterministic_algorithms(True)
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[:, None]
    train_x, test_x, train_y, test_y = train_test_split(
        images, digits.target, test_size=500, random_state=0, stratify=digits.target
    )
    model = train(torch.from_numpy(train_x), torch.from_numpy(train_y))
    with torch.no_grad():
        accuracy = (model(torch.from_numpy(test_x)).argmax(1).numpy() == test_y).mean()
    print(f"float top-1 on the {len(test_y)} evaluation images: {100 * accuracy:.2f} %")
    export(model, torch.from_numpy(test_x[:1]))
    np.savez_compressed(FOLDER / "digits_calibration.npz", input=train_x[:CALIBRATION])
    np.savez_compressed(FOLDER / "digits_evaluation.npz", input=test_x, labels=test_y.astype(np.uint8))


def train(images: torch.Tensor, labels: torch.Tensor) -> Digits:
    model = Digits()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        model.train()
        for batch in torch.randperm(len(images)).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
        schedule.step()
    return model.eval()


def export(model: Digits, sample: torch.Tensor) -> None:
    torch.jit.trace(model, sample).save(str(FOLDER / "digits.pt"))
    drop_sources(FOLDER / "digits.pt")
    torch.onnx.export(
        model, (sample,), str(FOLDER / "digits.onnx"), dynamo=False, opset_version=17, do_constant_folding=False,
        training=torch.onnx.TrainingMode.PRESERVE,  # eval mode, but BatchNormalization is not folded away
        input_names=["input"], output_names=["logits"], dynamic_axes={"input": {0: "N"}, "logits": {0: "N"}},
    )  # fmt: skip


def drop_sources(archive: Path) -> None:
    """Remove the debug records from a TorchScript file, because they contain paths of this machine."""
    dropped = (".debug_pkl", "serialization_id")
    with zipfile.ZipFile(archive) as old:
        kept = {name: old.read(name) for name in old.namelist() if not name.endswith(dropped)}
    with zipfile.ZipFile(archive, "w") as new:
        for name, data in kept.items():
            new.writestr(zipfile.ZipInfo(name), data)  # ZipInfo has a fixed date


if __name__ == "__main__":
    main()
