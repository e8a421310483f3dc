from __future__ import annotations

import pytest

import figclip.cli.progress as progress
from figclip.cli.progress import ProgressDisplay


def test_the_next_data_set_is_timed_anew(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 100.0, 1_000.0, 1_020.0, 1_030.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with ProgressDisplay() as display:
        display.update("decoding", 1, 2)
        display.update("decoding", 2, 2)
        display.update("decoding", 1, 4)
        display.update("decoding", 2, 4)
        display.update("decoding", 3, 4, "bad")
    assert capsys.readouterr().err.splitlines() == [
        "decoding 2/2, 0 s left",
        "decoding 1/4",
        "decoding 2/4, 40 s left",
        "decoding 3/4, 15 s left bad",
    ]
