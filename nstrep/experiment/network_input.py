"""The network of a configuration: architecture, weights and device."""

from __future__ import annotations

import logging
from functools import lru_cache
from pathlib import Path

import mxnet as mx

from nstrep import assets, networks
from nstrep.base.errors import InputError
from nstrep.base.files import stamp
from nstrep.config.schema import ExperimentConfig
from nstrep.networks.features import Network, on_device
from nstrep.networks.vgg import ARCHITECTURES
from nstrep.networks.weights import Weights, load_weights, normalized, random_weights

log = logging.getLogger(__name__)

# Weights inside the package, and those that ``python -m nstrep.assets`` fetches, by network.
SHIPPED = {"vgg19_slim": "vgg19_slim.npz"}
FETCHED = {"vgg19": "vgg19.params", "vgg16": "vgg16.params"}


def load_network(config: ExperimentConfig) -> Network:
    """The network of a configuration on its device."""
    context = device(config.gpu)
    name = config.model.name
    if name == "auto":
        given = config.weights.path is not None
        name = "vgg19" if given or assets.find(FETCHED["vgg19"]) else "vgg19_slim"
        log.info("model=auto: %s", name)
    architecture = ARCHITECTURES[name]
    for key in ("content_layers", "style_layers"):
        architecture.check_layers(getattr(config, key), key)
    path = config.weights.path
    if path is None:
        path = _own_weights(name, config.assets.download)
    version = config.seed if path == "random" else stamp(path)
    weights = _weights(name, path, version, config.weights.normalize, context)
    return _network(name, weights, config.pooling, config.preprocess.padding, context)


# Only two, because a network keeps its targets: see nstrep/networks/features.py.
@lru_cache(maxsize=2)
def _network(
    name: str, weights: Weights, pooling: str, padding: str, context: mx.Context
) -> Network:
    return Network(ARCHITECTURES[name], weights, pooling, padding, context)


# On the device only, to save the memory of a second copy.
@lru_cache(maxsize=4)
def _weights(
    name: str, path: str, version: object, normalize: bool, context: mx.Context
) -> Weights:
    """Weights of a file with this stamp, or random ones with this seed."""
    architecture = ARCHITECTURES[name]
    random = path == "random"
    weights = random_weights(architecture, version) if random else load_weights(path, architecture)
    return on_device(normalized(weights, architecture) if normalize else weights, context)


def _own_weights(name: str, download: str) -> str:
    if name in SHIPPED:
        return str(Path(networks.__file__).with_name(SHIPPED[name]))
    if name not in FETCHED:
        raise InputError(
            f"model={name}: has no weights of its own; weights.path must be a file, or random"
        )
    file = FETCHED[name]
    fetched = assets.ensure(file, download)
    if fetched is None:
        raise InputError(
            f"model={name}: {file} is not on disk; fetch it with"
            f"  python -m nstrep.assets {file}  or take model=vgg19_slim or weights.path=random"
        )
    return str(fetched)


def device(gpu: int) -> mx.Context:
    """The MXNet context of ``gpu``, -1 for the CPU; InputError without this GPU."""
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
