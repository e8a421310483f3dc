from __future__ import annotations

from figclip.metrics.composition import SYMMETRIC_RELATIONS


def test_the_list_has_its_157_names() -> None:
    assert len(SYMMETRIC_RELATIONS) == 157
    assert {"near", "next to", "adjusting", "wrapped in", "on the other side of"} <= (
        SYMMETRIC_RELATIONS
    )
    assert not {"on", "to the left of", "riding", "behind", "under"} & SYMMETRIC_RELATIONS
    assert all(name == " ".join(name.split()) and name for name in SYMMETRIC_RELATIONS)
