"""``python -m scripts.paintings``: draw the stand-in paintings and write their files."""

from __future__ import annotations

from PIL import Image

from nstrep.images.io import STAND_INS
from scripts.paintings import SCENES


def main() -> None:
    """Overwrite the files in the package."""
    for name, scene in SCENES.items():
        # Lossless WebP is a quarter smaller than PNG here; quality sets only the encoder's effort.
        Image.fromarray(scene()).save(STAND_INS[name], lossless=True, quality=90, method=6)
        print(STAND_INS[name])


if __name__ == "__main__":
    main()
