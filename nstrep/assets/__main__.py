"""``nstrep assets [--list] [--all | NAME ...]``: download networks and pictures.

They are stored in models/ and inputs/ under NSTREP_HOME.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence

from nstrep.assets import obtain
from nstrep.assets.catalogue import CATALOGUE, Asset, home
from nstrep.assets.checksums import RefusedError, check
from nstrep.base.command_line import Parser, plain_errors
from nstrep.base.errors import NstrepError
from nstrep.base.text import shown


def main(arguments: Sequence[str] | None = None) -> int:
    """Download the assets that the command line names. Returns the exit code."""
    basic = [asset.name for asset in CATALOGUE.values() if asset.basic]
    parser = Parser(
        __doc__,
        epilog=f"Without a name: {', '.join(basic)}. NSTREP_MIRROR names a folder or an address"
        " that is tried first.",
    )
    choice = parser.add_mutually_exclusive_group()
    choice.add_argument("--list", action="store_true", help="show all assets, download nothing")
    choice.add_argument("--all", action="store_true", help="all but the substitutes for a network")
    parser.add_argument("names", nargs="*", metavar="NAME", help="an asset to download")
    options = parser.parse_args(arguments)
    if options.names and (options.list or options.all):
        parser.error("--list and --all take no names")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    code = 0
    with plain_errors():
        if options.list:
            print("\n".join(map(_description, CATALOGUE.values())))
            return code
        substitutes = {name for asset in CATALOGUE.values() for name in asset.substitutes}
        everything = [name for name in CATALOGUE if name not in substitutes]
        for name in options.names or (everything if options.all else basic):
            try:
                path = obtain(name)
                print(f"{name}: {shown(path)} ({path.stat().st_size / 1e6:.1f} MB, checked)")
            except NstrepError as error:
                print(f"nstrep: error: {error}", file=sys.stderr)
                code = max(code, error.exit_code)
    return code


def _description(asset: Asset) -> str:
    path = home() / asset.path
    try:
        state = "missing"
        if path.is_file():
            check(asset, path)
            state = "here"
    except RefusedError as refusal:
        state = f"WRONG, {refusal}"
    pins = ", ".join(dict.fromkeys(source.checksum or "not pinned" for source in asset.sources))
    return f"{asset.name}\n  {state}: {shown(path)}\n  {asset.title}\n  {asset.licence}\n  {pins}"


if __name__ == "__main__":
    sys.exit(main())
