"""The contact sheet: a thumbnail a hit, in order; a name too long; formats."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from figclip import Index
from figclip.errors import ConfigError
from figclip.model.figclip import FiGCLIP
from figclip.search.contact_sheet import write_contact_sheet
from tests.search.hand_made import write_index
from tests.small_runs import write_tiny_clip


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    folder = tmp_path_factory.mktemp("index")
    model = FiGCLIP.from_pretrained(write_tiny_clip(folder / "clip"))
    shown = {f"{'long name ' * 20}\n\u202e.mp4": [f"number {one}" for one in range(12)]}
    return Index.open(write_index(folder / "my.index", model, shown), model=model)


@pytest.mark.parametrize(("suffix", "form"), [(".png", "PNG"), (".jpg", "JPEG")])
def test_hits_are_drawn_in_rows_of_five(index: Index, tmp_path: Path, suffix: str, form: str):
    (one,) = index.search(text="number 0", k=1)
    hits = [replace(one, best_window=number, margin=0.1) for number in range(12)]
    write_contact_sheet(tmp_path / f"sheet{suffix}", hits, index=index)
    with Image.open(tmp_path / f"sheet{suffix}") as sheet:
        assert sheet.format == form and sheet.size == (5 * 248 + 8, 3 * 224 + 8)
        # Thumbnail n is of grey 20 n, 240 px wide and 135 high, at the bottom of its cell.
        for number in range(12):
            row, column = divmod(number, 5)
            grey = sheet.getpixel((column * 248 + 128, row * 224 + 120))
            assert max(abs(value - 20 * number) for value in grey) < 6
        dark = sheet.convert("L").crop((8, 190, 248, 230)).getcolors(256)
        assert min(value for _, value in dark) < 80  # something is written below


@pytest.mark.slow
def test_no_hits_and_too_many_are_drawn_as_far_as_may_be(index: Index, tmp_path: Path):
    (one,) = index.search(text="number 0", k=1)
    for num_hits, num_rows in ((0, 1), (1000, 20)):
        write_contact_sheet(tmp_path / "sheet.png", [one] * num_hits, index=index)
        with Image.open(tmp_path / "sheet.png") as sheet:
            assert sheet.height == num_rows * 224 + 8


def test_another_format_is_refused(index: Index, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"cannot be written as '.gif'.*\.png or \.jpg"):
        write_contact_sheet(tmp_path / "sheet.gif", (), index=index)
