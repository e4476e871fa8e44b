"""``python -m nstrep.fast.train style=wave data.dir=PHOTOS``: train a network for a style."""

from __future__ import annotations

import logging

from omegaconf import DictConfig

from nstrep import cli
from nstrep.config.typed_keys import check_typed, typed_overrides
from nstrep.fast.config import TrainConfig, check

log = logging.getLogger(__name__)


def job(composed: DictConfig) -> float:
    """Run the training that Hydra composed; the total loss of the validation, for sweepers."""
    directory = cli.run_folder()
    try:
        config = check(composed)
        check_typed(config, typed_overrides())
        # Loads MXNet: only once the configuration is known good.
        from nstrep.fast import training

        return training.run(config, directory)["validation"]["total"]
    except KeyboardInterrupt:
        log.warning("interrupted; the same command continues:  %s", cli.same_command())
        raise
    except Exception as error:
        raise cli.refused(error, directory) from error


if __name__ == "__main__":
    cli.main(job, "fast", TrainConfig)
