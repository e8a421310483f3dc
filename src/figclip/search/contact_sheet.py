"""A contact sheet: one picture with a thumbnail of each hit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from figclip.errors import ConfigError, printable
from figclip.runtime.files import write_atomically
from figclip.search.index import Hit, Index, shown_time

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_CELL_PX, _PICTURE_PX, _GAP_PX, _LINE_PX = 240, 180, 8, 18
_MAX_COLUMNS = 5
_MAX_HITS = 100


def write_contact_sheet(path: Path, hits: Sequence[Hit], *, index: Index) -> None:
    """Draw the best window of each hit with its rank, start and score, and the name of its file.

    Those of the first 100 hits are drawn: a picture of more is not looked at.

    Raises:
        ConfigError: the suffix is of no format that is written.
        StoreError: a thumbnail cannot be read.
        OutputError: the file cannot be written.
    """
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise ConfigError(
            f"a contact sheet cannot be written as {path.suffix or path.name!r}",
            where=f"--sheet {path}",
            fix="Give a file called .png or .jpg",
        )
    hits = hits[:_MAX_HITS]
    num_columns = max(1, min(_MAX_COLUMNS, len(hits)))
    num_rows = max(1, math.ceil(len(hits) / num_columns))
    cell = (_CELL_PX + _GAP_PX, _PICTURE_PX + 2 * _LINE_PX + _GAP_PX)
    size = (num_columns * cell[0] + _GAP_PX, num_rows * cell[1] + _GAP_PX)
    sheet = Image.new("RGB", size, "white")
    for place, hit in enumerate(hits):
        row, column = divmod(place, num_columns)
        corner = (column * cell[0] + _GAP_PX, row * cell[1] + _GAP_PX)
        _draw_hit(sheet, hit, index=index, rank=place + 1, corner=corner)
    content = BytesIO()
    sheet.save(content, form)
    write_atomically(path, content.getvalue())


def _draw_hit(
    sheet: Image.Image, hit: Hit, *, index: Index, rank: int, corner: tuple[int, int]
) -> None:
    """One thumbnail and two lines below it."""
    left, top = corner
    with Image.open(BytesIO(index.thumbnail(hit.video, hit.best_window)), formats=["JPEG"]) as file:
        picture = file.convert("RGB")
    scale = min(_CELL_PX / picture.width, _PICTURE_PX / picture.height)
    picture = picture.resize(
        (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    )
    sheet.paste(picture, (left, top + _PICTURE_PX - picture.height))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    margin = "" if hit.margin is None else f" ({hit.margin:+.3f})"
    lines = [f"{rank}.  {shown_time(hit.start_s)}   {hit.score:.3f}{margin}"]
    lines.append(" ".join(printable(hit.path.name).split()))
    for number, line in enumerate(lines):
        while draw.textlength(line, font=font) > _CELL_PX:
            line = line.removesuffix("…")[:-1] + "…"
        draw.text((left, top + _PICTURE_PX + number * _LINE_PX), line, fill="black", font=font)
