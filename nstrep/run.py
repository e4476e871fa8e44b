"""``nstrep run [KEY=VALUE ...] [--multirun]``: render an image in the style of another.

Each run writes the picture, the curves of its losses and all settings to results/runs/DATE/TIME/.
"""

from __future__ import annotations

import sys

from nstrep.base.command_line import answer

EXAMPLES = """\
  nstrep run content_image=photo.jpg style_image=painting.png     your own images
  nstrep run content=coffee style=monet content_weight=20         images by name
  nstrep run recipe=gatys2015                                     the settings of a paper
  nstrep run --multirun content_weight=10,20 style=monet,picasso  a sweep
  nstrep run from_image=FOLDER/final.png max_long_edge=1024       a result again, larger
  nstrep run resume=true hydra.run.dir=FOLDER                     go on with a run
"""

MORE = """\
All keys: docs/keys.md, or nstrep run --cfg job. hydra.run.dir=FOLDER names the folder of a run.
The results as a page: nstrep report FOLDER.
"""


def main() -> None:
    """Run the command line. Only what is needed is loaded: the help needs neither Hydra nor MXNet.

    Launchers hand :func:`nstrep.cli.job` to other processes by its name.
    """
    if {"-h", "--help"} & set(sys.argv[1:]):
        from nstrep.config import help_page
        from nstrep.config.schema import ExperimentConfig

        files = ("recipe/nstrep", "optimizer/lbfgs", "papers", "config")
        answer(["--help"], help_page.page(__doc__, EXAMPLES, ExperimentConfig, files, MORE))
    answer(sys.argv[1:])
    from nstrep import cli

    cli.main()


if __name__ == "__main__":
    main()
