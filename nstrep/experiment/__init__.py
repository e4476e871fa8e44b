"""One experiment: from a configuration to a run directory."""

import warnings

from tqdm import TqdmWarning

with warnings.catch_warnings():  # in a notebook without ipywidgets, the bar is plain text
    warnings.simplefilter("ignore", TqdmWarning)
    import tqdm.auto  # noqa: F401
