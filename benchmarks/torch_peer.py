"""The same problem in a few lines of PyTorch, in a process of its own; prints JSON.

python -m benchmarks.torch_peer PROBLEM.npz LAYOUT iterate START COUNT
python -m benchmarks.torch_peer PROBLEM.npz LAYOUT optimise START EVALUATIONS

LAYOUT: eager, channels_last or compile. Losses: Gatys, Ecker, Bethge 2015, eqs. 1 and 4.
"""

from __future__ import annotations

import json
import os
import sys

import numpy as np
import torch
from torch.nn import functional

from benchmarks import harness


def main() -> None:
    """Read the problem, do what is asked, print one line."""
    path, layout, what, start, count = sys.argv[1:]
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    problem = np.load(path)
    found = Losses(problem, channels_last=layout == "channels_last")
    losses = torch.compile(found) if layout == "compile" else found
    image = torch.tensor(problem[start])
    if layout == "channels_last":
        image = image.to(memory_format=torch.channels_last)
    print(json.dumps({"iterate": iterate, "optimise": optimise}[what](losses, image, int(count))))


class Losses(torch.nn.Module):
    """Content and style losses of an image, by name."""

    def __init__(self, problem: np.lib.npyio.NpzFile, channels_last: bool) -> None:
        super().__init__()
        form = torch.channels_last if channels_last else torch.contiguous_format
        self._style_weight = float(problem["style_weight"])
        names = [n for n in problem if n.startswith("weights.") and n.endswith("_weight")]
        self._layers = sorted(name[len("weights.conv") : -len("_weight")] for name in names)
        self._weights, self._biases = (
            [torch.tensor(problem[f"weights.conv{layer}_{kind}"]) for layer in self._layers]
            for kind in ("weight", "bias")
        )
        self._weights = [weight.to(memory_format=form) for weight in self._weights]
        with torch.no_grad():
            photo, painting = (
                torch.tensor(problem[name]).to(memory_format=form) for name in ("photo", "painting")
            )
            self._content = self._features(photo)[harness.CONTENT_LAYER]
            features = self._features(painting)
            self._grams = {name: gram(features[name]) for name in harness.STYLE_LAYERS}

    def _features(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        found, block = {}, "1"
        for layer, weight, bias in zip(self._layers, self._weights, self._biases):
            if layer[0] != block:
                x, block = functional.avg_pool2d(x, 2), layer[0]
            x = functional.relu(functional.conv2d(x, weight, bias, padding=1), inplace=True)
            if f"relu{layer}" in (*harness.STYLE_LAYERS, harness.CONTENT_LAYER):
                found[f"relu{layer}"] = x
        return found

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        """Weighted losses by nstrep's names."""
        features = self._features(image)
        name = harness.CONTENT_LAYER
        difference = (features[name] - self._content).square().sum()
        losses = {f"content_loss.{name}": harness.CONTENT_WEIGHT * difference / 2}
        for name, target in self._grams.items():
            n, m = features[name].shape[1], features[name][0, 0].numel()
            loss = (gram(features[name]) - target).square().sum() / (4 * n**2 * m**2)
            weight = self._style_weight / len(self._grams)
            losses[f"style_loss.{name}"] = weight * loss
        return losses


def gram(features: torch.Tensor) -> torch.Tensor:
    """F F^T."""
    flat = features.flatten(2)[0]
    return flat @ flat.T


def iterate(losses: torch.nn.Module, image: torch.Tensor, count: int) -> dict:
    """Time losses and gradient after one to warm up."""
    image.requires_grad_(True)

    def evaluate() -> dict[str, torch.Tensor]:
        image.grad = None
        found = losses(image)
        sum(found.values()).backward()
        return found

    first = evaluate()
    norm = float(image.grad.double().norm())
    seconds, cpu = [], []
    for _ in range(count):
        clock = harness.Clock()
        evaluate()
        wall, used = clock()
        seconds.append(wall)
        cpu.append(used)
    return {
        "seconds": seconds,
        "cpu": cpu,
        "peak_mb": harness.peak_mb(),
        "losses": {name: float(value) for name, value in first.items()},
        "gradient_norm": norm,
    }


def optimise(losses: torch.nn.Module, image: torch.Tensor, evaluations: int) -> dict:
    """torch.optim.LBFGS as PyTorch's own tutorial uses it, for so many evaluations."""
    image.requires_grad_(True)
    optimizer = torch.optim.LBFGS([image], max_iter=evaluations, max_eval=evaluations)
    sum(losses(image).values()).backward()
    seen: list[float] = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        total = sum(losses(image).values())
        total.backward()
        seen.append(float(total.detach()))
        return total

    clock = harness.Clock()
    while len(seen) < evaluations:
        before = len(seen)
        optimizer.step(closure)
        if len(seen) == before:
            break
    wall, cpu = clock()
    return {
        "seconds": wall,
        "cpu": cpu,
        "evaluations": len(seen),
        "loss": min(seen),
        "last_loss": seen[-1],
        "peak_mb": harness.peak_mb(),
    }


if __name__ == "__main__":
    main()
