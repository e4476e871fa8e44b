"""``python -m nstrep.run``: one experiment, or with ``--multirun`` a sweep of them.

Thin on purpose: launchers hand :func:`nstrep.cli.job` to other processes by name, and only what
lives in an importable module has one.
"""

from nstrep.cli import main

if __name__ == "__main__":
    main()
