"""``python -m scripts.paintings [NAME ...]``: draw the stand-in paintings and write their files."""

from __future__ import annotations

import sys

from PIL import Image

from nstrep.images.io import STAND_INS
from scripts.paintings import BRUSHWORK, SCENES


def main() -> None:
    """Overwrite the files in the package: those named, or all."""
    for name in sys.argv[1:] or SCENES:
        picture = Image.fromarray(SCENES[name]())
        if name in BRUSHWORK:
            # Lossless WebP is a quarter smaller than PNG here; quality sets the encoder's effort.
            picture.save(STAND_INS[name], lossless=True, quality=90, method=6)
        else:
            picture.save(STAND_INS[name], quality=60, method=6)
        print(STAND_INS[name])


if __name__ == "__main__":
    main()
