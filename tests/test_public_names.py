"""What `figclip` and `figclip.metrics` promise is there, typed, and documented."""

from __future__ import annotations

import ast
import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import figclip

PAGE = Path(__file__).parent.parent / "docs" / "python.md"


def typed_homes() -> dict[str, str]:
    """Public names and their modules as type checkers see them."""
    tree = ast.parse(Path(figclip.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    return {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if alias.asname == alias.name
    }


def test_every_public_name_is_where_it_is_looked_up():
    assert sorted(figclip.__all__) == figclip.__all__
    assert typed_homes() == figclip._HOMES
    assert set(figclip._HOMES) == set(figclip.__all__) <= set(dir(figclip))
    for name, home in figclip._HOMES.items():
        value = getattr(figclip, name)
        assert value is getattr(import_module(home), name)
        # A home that passes on what another module defines costs the import of both.
        owner = type(value.__self__) if inspect.ismethod(value) else value
        assert getattr(owner, "__module__", home) == home


@pytest.mark.parametrize("module", ["figclip", "figclip.metrics"])
def test_every_public_name_is_in_the_documents(module: str):
    code = re.findall(r"^```.*?^```|`[^`\n]+`", PAGE.read_text(), re.M | re.S)
    assert not set(import_module(module).__all__) - set(re.findall(r"\w+", "\n".join(code)))


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="no attribute 'adopt'"):
        figclip.adopt  # noqa: B018
