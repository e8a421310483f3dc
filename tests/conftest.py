"""Property tests draw the same examples in every run: what passes here passes in CI.

`pytest --hypothesis-profile default` searches at random.
"""

from __future__ import annotations

from hypothesis import settings

settings.load_profile("ci")
