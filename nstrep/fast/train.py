"""``nstrep train [KEY=VALUE ...]``: train a network that renders any image in one style.

The same command continues a training that was interrupted. Each training writes its network, the
curves of its losses and samples to a folder of results/fast/runs/, named by the arguments.
"""

from __future__ import annotations

import logging
import sys

from omegaconf import DictConfig

from nstrep.base.command_line import answer

EXAMPLES = """\
  nstrep train style=swirls                                          minutes, no download
  nstrep train style_image=painting.jpg                              your own style image
  nstrep train style=wave data.dir=PHOTOS steps=5000                 your own photographs
  nstrep train fast/recipe=hzy46 style=wave data.dir=PHOTOS          the settings of a program
  nstrep train fast/net=pytorch_examples                             another network
  nstrep stylize model=results/fast/runs/style=swirls image=a.jpg    use the network
"""

MORE = """\
All keys: docs/fast.md, or nstrep train --cfg job.
"""

log = logging.getLogger(__name__)


def job(composed: DictConfig) -> float:
    """Run the training that Hydra composed; the total loss of the validation, for sweepers."""
    from nstrep import cli
    from nstrep.config.typed_keys import check_typed, typed_overrides
    from nstrep.fast.config import check

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


def main() -> None:
    """Run the command line. The help needs neither Hydra nor MXNet."""
    from nstrep.fast.config import TrainConfig

    if {"-h", "--help"} & set(sys.argv[1:]):
        from nstrep.config import help_page

        files = ("fast/recipe/quick", "fast")
        answer(["--help"], help_page.page(__doc__, EXAMPLES, TrainConfig, files, MORE))
    answer(sys.argv[1:])
    from nstrep import cli

    cli.main(job, "fast", TrainConfig)


if __name__ == "__main__":
    main()
