"""Neural style transfer on MXNet, as experiments: configured, measured and repeatable."""

from typing import Any

from nstrep.base.environment import prepare

__version__ = "0.1.0"

prepare()

_LAZY = {
    "fast_styles": "nstrep.fast.api",
    "load_run": "nstrep.analysis.run_reader",
    "load_sweep": "nstrep.analysis.run_reader",
    "stylize": "nstrep.api",
    "stylize_fast": "nstrep.fast.api",
}
"""Public functions and the modules that define them, imported when first asked for."""


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
