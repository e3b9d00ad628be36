"""Pictures side by side with labels, for documentation and reports."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from emovoca_cli.errors import UsageError
from emovoca_cli.render.video import Picture

PAPER = (24, 25, 29)
INK = (226, 227, 230)


def contact_sheet(
    pictures: Sequence[Picture],
    labels: Sequence[str] = (),
    *,
    columns: int | None = None,
    gap: int = 4,
    heads: Sequence[str] = (),
) -> Picture:
    """One picture (H,W,3) of many equal ones in rows of `columns` (default: all in one strip), labels written below each and
    heads, one a row, above the rows."""
    from PIL import Image, ImageDraw, ImageFont

    if not pictures:
        raise UsageError("a contact sheet needs at least one picture")
    if labels and len(labels) != len(pictures):
        raise UsageError(f"{len(labels)} labels for {len(pictures)} pictures; give one each or none")
    height, width = pictures[0].shape[:2]
    if any(picture.shape != pictures[0].shape for picture in pictures):
        raise UsageError("the pictures of a contact sheet differ in size; render them alike")
    across = min(columns or len(pictures), len(pictures))
    down = -(-len(pictures) // across)
    if heads and len(heads) != down:
        raise UsageError(f"{len(heads)} heads for {down} rows; give one each or none")
    letters = max(12, height // 18)
    line = round(letters * 1.7)
    band, top_band = line if labels else 0, line if heads else 0
    row_height = top_band + height + band + gap
    sheet = Image.new("RGB", (across * (width + gap) - gap, down * row_height - gap), PAPER)
    pen = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=letters)
    for index, picture in enumerate(pictures):
        left, top = (index % across) * (width + gap), (index // across) * row_height + top_band
        sheet.paste(Image.fromarray(picture), (left, top))
        if labels:
            pen.text((left + width / 2, top + height + band / 2), labels[index], fill=INK, font=font, anchor="mm")
    for row, head in enumerate(heads):
        pen.text((gap, row * row_height + top_band / 2), head, fill=INK, font=font, anchor="lm")
    return np.asarray(sheet, np.uint8)
