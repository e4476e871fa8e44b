"""VGG features and the objective's formulas in float64 NumPy, written from the papers alone.

Nothing here knows MXNet or shares code with the package: it is what the package is tested against.
"""

import numpy as np


def convolution(x, weight, bias, mode="constant"):
    """3 x 3 correlation of x (C, H, W), border of one pixel: constant (zero) or edge."""
    height, width = x.shape[1:]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode=mode)
    out = np.zeros((len(bias), height, width))
    for row in range(3):
        for column in range(3):
            window = padded[:, row : row + height, column : column + width]
            out += np.tensordot(weight[:, :, row, column], window, axes=1)
    return out + bias[:, None, None]


def pool(x, kind):
    """2 x 2 pooling of x (C, H, W), an odd last row or column dropped."""
    height, width = (side // 2 * 2 for side in x.shape[1:])
    blocks = x[:, :height, :width].reshape(len(x), height // 2, 2, width // 2, 2)
    return blocks.max((2, 4)) if kind == "max" else blocks.mean((2, 4))


def blur(x):
    """The mean of 3 x 3 positions of x (C, H, W), border positions repeated."""
    height, width = x.shape[1:]
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)), mode="edge")
    moved = [padded[:, r : r + height, c : c + width] for r in range(3) for c in range(3)]
    return np.mean(moved, axis=0)


def features(depths, arrays, image, pooling="avg", padding="zero"):
    """Every layer of a VGG over image (3, H, W), by name."""
    found, x = {}, image
    for block, depth in enumerate(depths, start=1):
        for index in range(1, depth + 1):
            name = f"conv{block}_{index}"
            mode = "edge" if padding == "replicate" and name == "conv1_1" else "constant"
            weight, bias = (
                arrays[f"{name}_{kind}"].astype(np.float64) for kind in ("weight", "bias")
            )
            found[name] = convolution(x, weight, bias, mode)
            x = found[f"relu{block}_{index}"] = np.maximum(found[name], 0)
        if min(x.shape[1:]) >= 2:
            if pooling == "blur" and block <= 2:
                x = blur(x)
            x = found[f"pool{block}"] = pool(x, pooling)
    return found


def raw_gram(f):
    """F F^T of features (N, H, W)."""
    flat = f.reshape(len(f), -1)
    return flat @ flat.T


def gatys_style(f, a):
    """E_l of Gatys, Ecker, Bethge 2015, eq. 4, for two feature maps of one shape."""
    n, m = len(f), f[0].size
    return np.sum((raw_gram(f) - raw_gram(a)) ** 2) / (4 * n**2 * m**2)


def relative_style(f, a, mean_share=1.0, equal_filters=False):
    """||S (G - A)||^2 / ||S A||^2 of Gram matrices per position; the shapes may differ."""

    def statistic(x):
        flat = x.reshape(len(x), -1)
        mean = flat.mean(1)
        return np.cov(flat, bias=True) + mean_share * np.outer(mean, mean)

    g, b = statistic(f), statistic(a)
    if equal_filters:
        energy = np.diag(b) + 0.05 * np.diag(b).mean()
        scale = 1 / np.sqrt(np.outer(energy, energy))
        g, b = g * scale, b * scale
    return np.sum((g - b) ** 2) / np.sum(b**2)


def pooled(mask, stride):
    """A mask (H, W) averaged over 2 x 2 blocks again and again, odd rows and columns dropped."""
    x = mask[None].astype(np.float64)
    while stride > 1:
        x, stride = pool(x, "avg"), stride // 2
    return x[0]


def guided_statistic(x, weights, mean_share=1.0):
    """Covariance + mean_share x means of features (N, H, W), positions counting by weights."""
    flat, w = x.reshape(len(x), -1), weights.ravel() / weights.sum()
    mean = flat @ w
    covariance = sum(share * np.outer(f - mean, f - mean) for share, f in zip(w, flat.T) if share)
    return covariance + mean_share * np.outer(mean, mean)


def guided_style(x, target, weights, mean_share=1.0, equal_filters=False):
    """||S (G - A)||^2 / ||S A||^2 inside a mask, A given."""
    scale = 1.0
    if equal_filters:
        diagonal = np.diag(target) + 0.05 * np.diag(target).mean()
        scale = 1 / np.sqrt(np.outer(diagonal, diagonal))
    found = guided_statistic(x, weights, mean_share)
    return np.sum((scale * (found - target)) ** 2) / np.sum((scale * target) ** 2)


def tv(x, form, grid):
    """Total variation of an image (3, H, W), summed."""
    if grid == "zero_padded":
        x = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    dx, dy = np.diff(x, axis=2), np.diff(x, axis=1)
    if grid == "crop":
        dx, dy = dx[:, :-1], dy[:, :, :-1]
    if form == "power":
        return np.sum((dx**2 + dy**2) ** 1.25)
    power = {"squared": 2, "absolute": 1}[form]
    return np.sum(np.abs(dx) ** power) + np.sum(np.abs(dy) ** power)


def pull_back(depths, arrays, found, wanted, pooling="avg"):
    """Gradient to the image (3, H, W) of a loss whose gradient to the layers is ``wanted``.

    found: what features() returned for the image, with zero padding.
    """
    gradient = 0.0
    for block in range(len(depths), 0, -1):
        for index in range(depths[block - 1], 0, -1):
            name = f"conv{block}_{index}"
            gradient = gradient + wanted.get(f"relu{block}_{index}", 0.0)
            gradient = gradient * (found[name] > 0) + wanted.get(name, 0.0)
            weight = arrays[f"{name}_weight"].astype(np.float64)
            transposed = weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
            gradient = np.broadcast_to(gradient, found[name].shape)
            gradient = convolution(gradient, transposed, np.zeros(len(transposed)))
        if block > 1:
            last = found[f"relu{block - 1}_{depths[block - 2]}"]
            gradient = unpool(gradient, last, pooling)
    return gradient


def unpool(gradient, x, kind):
    """Gradient to the input x (C, H, W) of pool()."""
    height, width = (side // 2 * 2 for side in x.shape[1:])
    spread = gradient.repeat(2, axis=1).repeat(2, axis=2)
    if kind == "avg":
        spread = spread / 4
    else:
        spread = spread * (x[:, :height, :width] == pool(x, "max").repeat(2, 1).repeat(2, 2))
    return np.pad(spread, ((0, 0), (0, x.shape[1] - height), (0, x.shape[2] - width)))
