"""What holds for all tests: the same examples in every run, and the same signals.

Property tests draw the same examples in every run: what passes here passes in CI. They draw a
quarter of them where slow tests are left out. `pytest --hypothesis-profile default` searches at
random.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest
from hypothesis import settings

from tests.processes import Start, heeded_interrupts, started_processes

settings.register_profile("quick", settings.get_profile("ci"), max_examples=25)


def pytest_configure(config: pytest.Config) -> None:
    """Choose how many examples are drawn, unless the command line does."""
    if config.getoption("--hypothesis-profile") is None:
        is_quick = "not slow" in config.option.markexpr
        settings.load_profile("quick" if is_quick else "ci")


@pytest.fixture(scope="session", autouse=True)
def interrupts_as_in_the_foreground() -> Generator[None]:
    """The same signals in the background and under nohup as at a terminal."""
    with heeded_interrupts():
        yield


@pytest.fixture
def start() -> Generator[Start]:
    """Starts processes that end with the test; nothing else in tests calls `subprocess.Popen`."""
    with started_processes() as start:
        yield start
