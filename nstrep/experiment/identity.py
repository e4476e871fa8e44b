"""The identity of a run: a hash of everything that decides its result."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from nstrep.config.fields import Key, walk
from nstrep.config.schema import ExperimentConfig

# Keys of earlier versions, at the value of runs without them, whose identity stays the same.
REMOVED = {"multiscale": 0}


def identity_of(
    config: ExperimentConfig, inputs: dict[str, dict[str, Any]], *, with_end: bool = True
) -> str:
    """SHA-256 of settings, images and weights, which does not depend on names, paths and folders.

    ``inputs`` are the provenance of :class:`nstrep.experiment.inputs.Inputs`. Without ``with_end``
    runs have the same identity of which one is the beginning of the other.
    """
    # Random weights are decided by the seed; their last digits differ between machines.
    hashes = {
        name: "random" if each["source"] == "random" else each["sha256"]
        for name, each in inputs.items()
    }
    network = inputs["model"]["name"]
    settings = REMOVED | settings_of(config, with_end=with_end)
    return digest({"settings": settings, "inputs": hashes, "network": network})


def settings_of(config: Any, *, with_end: bool = True) -> dict[str, Any]:
    """The settings of an experiment or a training that decide its result, by dotted key."""
    return {
        key.name: "file" if key.is_path(value) else value
        for key, value in walk(config)
        if key.identity and value != key.absent and (with_end or not _later(key, config))
    }


def _later(key: Key, config: Any) -> bool:
    """Whether a key only ends a run later; with scales, a threshold also ends the coarser ones."""
    return key.later == "larger" or (bool(key.later) and not getattr(config, "scales", None))


def digest(value: Any) -> str:
    """SHA-256 of a value as JSON."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()
