"""``python -m scripts.paintings.contact_sheet``: docs/styles.webp with the drawn styles."""

from __future__ import annotations

from pathlib import Path

from omegaconf import OmegaConf
from PIL import Image, ImageDraw, ImageFont

from nstrep.images.io import STAND_INS

ROOT = Path(__file__).resolve().parents[2]
CELL, GAP, CAPTION, COLUMNS = (362, 287), 6, 24, 3


def drawn_styles() -> dict[str, str]:
    """The painting of each style that has no other picture, in their order."""
    configs = [OmegaConf.load(path) for path in ROOT.glob("configs/style/*.yaml")]
    style = {one["builtin"]: one["name"] for one in configs if not one["asset"]}
    return {style[painting]: painting for painting in STAND_INS}


def main() -> None:
    """Write the sheet, 1110 pixels wide."""
    styles = drawn_styles()
    across, down = CELL[0] + GAP, CELL[1] + CAPTION
    size = (COLUMNS * across + GAP, -(-len(styles) // COLUMNS) * down + GAP)
    sheet = Image.new("RGB", size, "white")
    pencil, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for n, (name, painting) in enumerate(styles.items()):
        left, top = GAP + n % COLUMNS * across, GAP + n // COLUMNS * down
        with Image.open(STAND_INS[painting]) as picture:
            sheet.paste(picture.convert("RGB").resize(CELL, Image.Resampling.LANCZOS), (left, top))
        pencil.text((left, top + CELL[1] + 2), name, fill="black", font=font)
    sheet.save(ROOT / "docs" / "styles.webp", quality=36, method=6)


if __name__ == "__main__":
    main()
