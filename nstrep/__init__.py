"""Neural style transfer on MXNet, as experiments: configured, measured and repeatable."""

from nstrep.environment import prepare

__version__ = "0.1.0"

prepare()
