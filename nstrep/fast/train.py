"""``python -m nstrep.fast.train style=wave data.dir=PHOTOS``: train a network for a style."""

from __future__ import annotations

from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from nstrep import cli
from nstrep.base.errors import InputError, NstrepError
from nstrep.config.typed_keys import check_typed, typed_overrides
from nstrep.experiment import run_directory
from nstrep.fast.config import TrainConfig, check


def job(composed: DictConfig) -> float:
    """Run the training that Hydra composed; the total loss of the validation, for sweepers."""
    directory = Path(HydraConfig.get().runtime.output_dir)
    try:
        config = check(composed)
        check_typed(config, typed_overrides())
        # Loads MXNet: only once the configuration is known good.
        from nstrep.fast import training

        return training.run(config, directory)["validation"]["total"]
    except NstrepError as error:
        if isinstance(error, InputError):
            run_directory.remove_unstarted(directory)
        raise cli.Refused(error) from error


if __name__ == "__main__":
    cli.main(job, "fast", TrainConfig)
