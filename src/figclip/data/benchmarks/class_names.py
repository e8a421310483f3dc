"""Names of classes in words, as prompts need them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches

from figclip.data.reading import Place, shown

_SEARCHED_CHARS = 60
_CAMEL_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def class_in_words(name: str) -> str:
    """A class name in words, lower case: `apply eye makeup` for `ApplyEyeMakeup`.

    `_` is a space. Capitals begin words only in a name that has no space, so that `shooting goal
    (NBA)` stays as it is.
    """
    words = name.replace("_", " ").strip()
    if " " not in words:
        words = _CAMEL_BORDER.sub(" ", words)
    return " ".join(words.lower().split())


def class_as_labelled(name: str) -> str:
    """A class name as its benchmark writes it, with spaces for `_`.

    This is how ViFi-CLIP names them: `brush hair` for HMDB51's `brush_hair`, but UCF101's
    `ApplyEyeMakeup` stays one word.

    Source:
        muzairkhattak/ViFi-CLIP@e2d1948 labels/hmdb_51_labels.csv, labels/ucf_101_labels.csv.
    """
    return " ".join(name.replace("_", " ").split())


@dataclass(frozen=True, slots=True)
class ClassList:
    """The classes of a benchmark.

    Attributes:
        names: As the benchmark writes them, in its order.
    """

    names: Sequence[str]
    _idxs: dict[str, int] = field(init=False, repr=False)
    _advice: dict[str, str] = field(init=False, repr=False, default_factory=dict[str, str])

    def __post_init__(self) -> None:
        object.__setattr__(self, "_idxs", {name: idx for idx, name in enumerate(self.names)})

    def find(self, name: str, field_name: str, *, place: Place) -> int:
        """Index of a class; 0, with the problem noted, when there is no such class."""
        if name not in self._idxs:
            # Searched once a name: a wrong class list makes thousands of equal problems.
            if name not in self._advice:
                self._advice[name] = self._nearest(name)
            what = f"{shown(name)} is not in the class list"
            place.add(field_name, what=what, fix=self._advice[name])
        return self._idxs.get(name, 0)

    def _nearest(self, name: str) -> str:
        """Advice for a name that is no class."""
        idxs = {known.casefold(): idx for known, idx in self._idxs.items()}
        matches = get_close_matches(name[:_SEARCHED_CHARS].casefold(), idxs, n=1)
        if not matches:
            return f"Check that the class list belongs to these files: it has {len(idxs)} classes"
        return f'Did you mean "{self.names[idxs[matches[0]]]}"?'

    def in_words(self, place: Place) -> tuple[str, ...]:
        """All names in words; two that become the same are noted: no text tells them apart."""
        first: dict[str, str] = {}
        for name in self.names:
            words = class_in_words(name)
            other = first.setdefault(words, name)
            if not words and name:
                what = f"the class {shown(name)} has no words"
                place.add("", what=what, fix="Give it a name")
            elif other is not name:
                what = f"{shown(other)} and {shown(name)} are the same words"
                place.add("", what=what, fix="Spell one class one way")
        return tuple(map(class_in_words, self.names))
