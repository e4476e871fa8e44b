"""``python -m nstrep.assets [--list] [--all | NAME ...]``: fetch networks and paintings."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence

from nstrep.assets import obtain
from nstrep.assets.catalogue import CATALOGUE, Asset, home
from nstrep.assets.checksums import RefusedError, check
from nstrep.base.errors import NstrepError
from nstrep.base.text import shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch what the command line names. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m nstrep.assets",
        description="Fetch networks and pictures into models/ and inputs/ under NSTREP_HOME.",
        epilog="Without a name: "
        + ", ".join(asset.name for asset in CATALOGUE.values() if asset.basic)
        + ". NSTREP_MIRROR names a folder or an address to look in first.",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--list", action="store_true", help="show what there is, fetch nothing")
    choice.add_argument("--all", action="store_true", help="all but the substitutes for a network")
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to fetch")
    chosen = parser.parse_args(arguments)
    if chosen.names and (chosen.list or chosen.all):
        parser.error("--list and --all take no names")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    if chosen.list:
        for asset in CATALOGUE.values():
            print(_line(asset))
        return 0
    spare = {name for asset in CATALOGUE.values() for name in asset.substitutes}
    names = chosen.names or [
        asset.name
        for asset in CATALOGUE.values()
        if asset.basic or (chosen.all and asset.name not in spare)
    ]
    code = 0
    for name in names:
        try:
            path = obtain(name)
            print(f"{name}: {shown(path)} ({path.stat().st_size / 1e6:.1f} MB, checked)")
        except NstrepError as error:
            print(f"nstrep: error: {error}", file=sys.stderr)
            code = max(code, error.exit_code)
    return code


def _line(asset: Asset) -> str:
    path = home() / asset.path
    state = "missing"
    if path.is_file():
        try:
            check(asset, path)
            state = "here"
        except RefusedError as refusal:
            state = f"WRONG, {refusal}"
    pins = ", ".join(dict.fromkeys(source.checksum or "not pinned" for source in asset.sources))
    return f"{asset.name}\n  {state}: {shown(path)}\n  {asset.title}\n  {asset.licence}\n  {pins}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NstrepError as problem:
        sys.exit(f"nstrep: error: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
