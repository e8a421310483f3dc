"""The quickstart's table; its whole path is in tests/slow/test_quickstart.py."""

from __future__ import annotations

from figclip.cli.quickstart import _table


def compared(base: float, adapted: float) -> dict[str, object]:
    difference = adapted - base
    interval = [difference - 0.01, difference + 0.02]
    return {"base": base, "adapted": adapted, "difference": difference, "interval": interval}


def test_table():
    mean = {**compared(0.5, 0.75), "held_out": compared(0.25, 0.125)}
    summary = {
        "tests": [
            {"name": "role swap", "wording": "natural", **compared(0.5, 0.75)},
            {"name": "kinds", "wording": None, **compared(1.0, 0.99)},
        ],
        "detail": mean,
        "detail_template": mean,
        "semantic": mean,
        "controls": {
            "shuffled annotations": {"detail": mean, "detail_template": mean, "semantic": mean}
        },
    }
    header, *rows = _table(summary)
    assert header.split() == ["base", "adapted", "points", "95", "%", "interval"]
    assert rows[0].split() == "role swap, natural 50.0 75.0 +25.0 +24.0 to +27.0".split()
    assert rows[1].split() == "kinds 100.0 99.0 -1.0 -2.0 to +1.0".split()
    assert any(row.startswith("mean: kept") for row in rows)
    (new,) = [row for row in rows if row.startswith("mean, new combinations: kept")]
    assert new.split()[-6:] == ["25.0", "12.5", "-12.5", "-13.5", "to", "-10.5"]
    assert sum(row.startswith("shuffled annotations: ") for row in rows) == 3
    assert all(len(row) <= 100 for row in rows)
