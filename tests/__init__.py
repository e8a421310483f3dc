"""Tests of figclip; folders mirror the package."""

from tests import typechecking as typechecking  # named in pyproject's --jaxtyping-packages
