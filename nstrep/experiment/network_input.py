"""From the configuration to a network: which VGG, and with which weights."""

from __future__ import annotations

import logging
from functools import lru_cache
from importlib import resources

import mxnet as mx

from nstrep import assets
from nstrep.base.errors import InputError
from nstrep.base.files import stamp
from nstrep.config.schema import ExperimentConfig
from nstrep.networks.features import Network, on_device
from nstrep.networks.vgg import ARCHITECTURES, Architecture
from nstrep.networks.weights import Weights, load_weights, normalized, random_weights

log = logging.getLogger(__name__)

SHIPPED = {"vgg19_slim": "vgg19_slim.npz"}
"""Weights inside the package."""

FETCHED = {"vgg19": "vgg19.params", "vgg16": "vgg16.params"}
"""Weights that ``python -m nstrep.assets`` fetches."""


def load_network(config: ExperimentConfig) -> Network:
    """The network that the configuration names, on its device.

    Raises:
        InputError: unknown layers, missing or unusable weights, or a GPU that is not there.

    """
    context = device(config.gpu)
    name = config.model.name
    if name == "auto":
        given = config.weights.path is not None
        name = "vgg19" if given or assets.find(FETCHED["vgg19"]) else "vgg19_slim"
        log.info("model=auto: %s", name)
    architecture = ARCHITECTURES[name]
    for key in ("content_layers", "style_layers"):
        architecture.check_layers(getattr(config, key), key)
    weights = _load(architecture, config, context)
    return _network(architecture, weights, config.pooling, config.preprocess.padding, context)


# Few: a network keeps its targets, see nstrep/networks/features.py.
@lru_cache(maxsize=2)
def _network(
    architecture: Architecture, weights: Weights, pooling: str, padding: str, context: mx.Context
) -> Network:
    return Network(architecture, weights, pooling, padding, context)


def _load(architecture: Architecture, config: ExperimentConfig, context: mx.Context) -> Weights:
    given, how = config.weights.path, (config.weights.normalize, context)
    if given == "random":
        return _random(architecture, config.seed, *how)
    if given is not None:
        return _from_file(architecture, given, *how)
    if architecture.name in SHIPPED:
        file = resources.files("nstrep") / "networks" / SHIPPED[architecture.name]
        with resources.as_file(file) as path:
            return _from_file(architecture, str(path), *how)
    file = FETCHED[architecture.name]
    path = assets.ensure(file, config.assets.download)
    if path is None:
        raise InputError(
            f"model={architecture.name}: {file} is not on disk; fetch it with"
            f"  python -m nstrep.assets {file}  or take model=vgg19_slim or weights.path=random"
        )
    return _from_file(architecture, str(path), *how)


def _from_file(
    architecture: Architecture, path: str, normalize: bool, context: mx.Context
) -> Weights:
    return _unchanged(architecture, path, normalize, context, stamp(path))


# On the device only: a second copy in NumPy's memory would serve nothing.
@lru_cache(maxsize=4)
def _unchanged(
    architecture: Architecture, path: str, normalize: bool, context: mx.Context, stamp: object
) -> Weights:
    weights = load_weights(path, architecture)
    return on_device(normalized(weights, architecture) if normalize else weights, context)


@lru_cache(maxsize=4)
def _random(architecture: Architecture, seed: int, normalize: bool, context: mx.Context) -> Weights:
    weights = random_weights(architecture, seed)
    return on_device(normalized(weights, architecture) if normalize else weights, context)


def device(gpu: int) -> mx.Context:
    """The MXNet context of ``gpu``; -1 is the CPU.

    Raises:
        InputError: this MXNet has no CUDA, or there are fewer GPUs.

    """
    if gpu < 0:
        return mx.cpu()
    if not mx.runtime.Features().is_enabled("CUDA"):
        raise InputError(
            f"gpu={gpu}: this MXNet is built without CUDA; take gpu=-1, or install"
            " mxnet-cu112==1.9.1 or its like instead of mxnet"
        )
    count = mx.context.num_gpus()
    if gpu >= count:
        raise InputError(f"gpu={gpu}: MXNet sees {count} GPUs; -1 is the CPU")
    return mx.gpu(gpu)
