"""The transform networks in float64 NumPy, written from their programs, not from the package."""

import numpy as np

TORCH_LIKE = {"zero": "constant", "reflect": "reflect", "edge": "edge"}


def conv(x, weight, stride):
    """Valid convolution of (C, H, W) with (out, in, k, k)."""
    windows = np.lib.stride_tricks.sliding_window_view(x, weight.shape[2:], axis=(1, 2))
    return np.einsum("chwij,ocij->ohw", windows[:, ::stride, ::stride], weight, optimize=True)


def transposed(x, weight, stride):
    """All outputs of a transposed convolution of (C, H, W) with (in, out, k, k)."""
    height, width = x.shape[1:]
    k = weight.shape[2]
    out = np.zeros((weight.shape[1], (height - 1) * stride + k, (width - 1) * stride + k))
    for i in range(height):
        for j in range(width):
            patch = np.einsum("c,coab->oab", x[:, i, j], weight)
            out[:, i * stride : i * stride + k, j * stride : j * stride + k] += patch
    return out


def instance_norm(x, eps, gamma=None, beta=None):
    y = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(x.var((1, 2), keepdims=True) + eps)
    return y if gamma is None else y * gamma[:, None, None] + beta[:, None, None]


def relu(x):
    return np.maximum(x, 0)


def pad(x, pixels, mode):
    around = ((0, 0), (pixels, pixels), (pixels, pixels))
    return np.pad(x, around, mode=TORCH_LIKE[mode]) if pixels else x


def same(x, k, stride):
    """TensorFlow's SAME padding."""
    around = [(0, 0)]
    for side in x.shape[1:]:
        total = max((-(-side // stride) - 1) * stride + k - side, 0)
        around.append((total // 2, total - total // 2))
    return np.pad(x, around)


def nearest(x, factor):
    return x.repeat(factor, 1).repeat(factor, 2)


def reader(parameters):
    def get(name):
        return None if name not in parameters else parameters[name].astype(np.float64)

    return get


def biased(x, bias):
    return x if bias is None else x + bias[:, None, None]


def hzy46(p, image):
    get, (height, width) = reader(p), image.shape[1:]
    x = pad(image - np.array([123.68, 116.779, 103.939])[:, None, None], 10, "reflect")

    def layer(x, name, k, stride):
        return conv(pad(x, k // 2, "reflect"), get(f"{name}_weight"), stride)

    for name, k, stride in (("conv1", 9, 1), ("conv2", 3, 2), ("conv3", 3, 2)):
        x = relu(instance_norm(layer(x, name, k, stride), 1e-9))
    for block in range(1, 6):
        x = x + layer(relu(layer(x, f"res{block}_1", 3, 1)), f"res{block}_2", 3, 1)
    for name in ("up1", "up2"):
        x = relu(instance_norm(layer(nearest(x, 4), name, 3, 2), 1e-9))
    y = (np.tanh(instance_norm(layer(x, "conv4", 9, 1), 1e-9)) + 1) * 127.5
    return y[:, 10 : 10 + height, 10 : 10 + width]


def examples(p, image, *, border=0, around="reflect", blocks=5, mean=0, finish=lambda x, normed: x):
    """pytorch/examples; this project's small net with its borders, mean and end."""
    get, (height, width) = reader(p), image.shape[1:]
    x = pad(image - mean, border, "reflect")

    def layer(x, name, k=3, stride=1):
        x = conv(pad(x, k // 2, around), get(f"{name}_weight"), stride)
        return biased(x, get(f"{name}_bias"))

    def normed(x, name):
        return instance_norm(x, 1e-5, get(f"{name}_gamma"), get(f"{name}_beta"))

    for name, k, stride in (("conv1", 9, 1), ("conv2", 3, 2), ("conv3", 3, 2)):
        x = relu(normed(layer(x, name, k, stride), name))
    for block in range(1, blocks + 1):
        first, second = f"res{block}_1", f"res{block}_2"
        x = x + normed(layer(relu(normed(layer(x, first), first)), second), second)
    for name in ("up1", "up2"):
        x = relu(normed(layer(nearest(x, 2), name), name))
    y = finish(layer(x, "conv4", 9), normed)
    return y[:, border : border + height, border : border + width]


def small(p, image, border=10, around="reflect"):
    mean = np.array([123.68, 116.779, 103.939])[:, None, None]

    def finish(x, normed):
        return 127.5 * (np.tanh(normed(x, "conv4")) + 1)

    return examples(p, image, border=border, around=around, blocks=3, mean=mean, finish=finish)


def johnson(p, image):
    get, (height, width) = reader(p), image.shape[1:]
    mean = np.array([123.68, 116.779, 103.939])[:, None, None]
    x = pad(image - mean, 40, "reflect")

    def layer(x, name, around, stride=1):
        x = conv(pad(x, around, "zero"), get(f"{name}_weight"), stride)
        return biased(x, get(f"{name}_bias"))

    def normed(x, name):
        return instance_norm(x, 1e-5, get(f"{name}_gamma"), get(f"{name}_beta"))

    for name, around, stride in (("conv1", 4, 1), ("conv2", 1, 2), ("conv3", 1, 2)):
        x = relu(normed(layer(x, name, around, stride), name))
    for block in range(1, 6):
        first, second = f"res{block}_1", f"res{block}_2"
        inside = normed(layer(relu(normed(layer(x, first, 0), first)), second, 0), second)
        x = x[:, 2:-2, 2:-2] + inside
    for name in ("up1", "up2"):  # SpatialFullConvolution(..., 3, 3, 2, 2, 1, 1, 1, 1)
        rows, columns = (2 * side for side in x.shape[1:])
        x = transposed(x, get(f"{name}_weight"), 2)[:, 1 : 1 + rows, 1 : 1 + columns]
        x = relu(normed(biased(x, get(f"{name}_bias")), name))
    y = 150 * np.tanh(layer(x, "conv4", 4)) + mean
    return y[:, :height, :width]


def lengstrom(p, image):
    get, (height, width) = reader(p), image.shape[1:]

    def normed(x, name):
        return instance_norm(x, 1e-3, get(f"{name}_gamma"), get(f"{name}_beta"))

    def layer(x, name, k=3, stride=1):
        return normed(conv(same(x, k, stride), get(f"{name}_weight"), stride), name)

    x = image
    for name, k, stride in (("conv1", 9, 1), ("conv2", 3, 2), ("conv3", 3, 2)):
        x = relu(layer(x, name, k, stride))
    for block in range(1, 6):
        x = x + layer(relu(layer(x, f"res{block}_1")), f"res{block}_2")
    for name in ("up1", "up2"):
        rows, columns = (2 * side for side in x.shape[1:])
        x = transposed(x, get(f"{name}_weight"), 2)[:, :rows, :columns]
        x = relu(normed(x, name))
    y = np.tanh(layer(x, "conv4", 9)) * 150 + 127.5
    return y[:, :height, :width]


def bilinear(x, axis):
    """Twice as many rows or columns: three quarters of the nearest pixel, a quarter of the next."""
    x = np.moveaxis(x, axis, -1)
    wide = np.concatenate([x[..., :1], x, x[..., -1:]], -1)
    pairs = [0.75 * x + 0.25 * wide[..., :-2], 0.75 * x + 0.25 * wide[..., 2:]]
    return np.moveaxis(np.stack(pairs, -1).reshape(*x.shape[:-1], -1), -1, axis)


def many(p, image, border=8):
    """Few features at full size; its scales and shifts are those of one style."""
    get, (height, width) = reader(p), image.shape[1:]
    noise = np.random.Generator(np.random.PCG64(0)).standard_normal((height, width), np.float32)
    x = image - np.array([123.68, 116.779, 103.939])[:, None, None] + 6 * noise.astype(float)
    x = pad(x, border, "reflect")

    def normed(x, name, k=3, stride=1, mode="reflect"):
        y = conv(pad(x, k // 2, mode), get(f"{name}_weight"), stride)
        return instance_norm(y, 1e-5, get(f"{name}_gamma"), get(f"{name}_beta"))

    x = relu(normed(x, "conv1", 9, 2))
    x = relu(normed(x, "conv2", stride=2))
    for block in range(1, 4):
        x = x + normed(relu(normed(x, f"res{block}_1")), f"res{block}_2")
    for name in ("up1", "up2"):
        x = relu(normed(bilinear(bilinear(x, 1), 2), name, mode="edge"))
    y = 127.5 * (np.tanh(normed(x, "conv4", 5)) + 1)
    return y[:, border : border + height, border : border + width]


def of_style(parameters, style):
    """The parameters of a mixture of styles: scales and shifts (S, C) become (C,)."""
    mixed = {name: style @ p for name, p in parameters.items() if p.ndim == 2}
    return parameters | mixed


REFERENCES = {
    "hzy46": hzy46, "johnson": johnson, "many": many, "small": small, "pytorch_examples": examples,
    "lengstrom": lengstrom,
}  # fmt: skip
