"""The colours of actors: what `situations.COLOURS` look like, and the shades that go with each."""

from __future__ import annotations

from dataclasses import dataclass

from figclip.world.drawing.brush import Colour, mixed

WHITE: Colour = (252, 252, 254)
INK: Colour = (38, 34, 52)
PINK: Colour = (250, 150, 170)
BEAK: Colour = (255, 168, 38)
METAL: Colour = (176, 182, 196)
COLLAR: Colour = (52, 188, 190)
# Muzzles and bellies, whatever the fur's colour: a second sign of the kind.
PATCHES: dict[str, Colour] = {
    "cat": (255, 250, 246),
    "dog": (255, 236, 206),
    "rabbit": (255, 250, 250),
    "bear": (226, 184, 134),
    "frog": (232, 244, 176),
}
TROUSERS: Colour = (84, 90, 116)
SKINS: tuple[Colour, ...] = ((250, 212, 178), (226, 172, 128), (150, 100, 72))
HAIRS: tuple[Colour, ...] = ((104, 66, 40), (62, 44, 38), (46, 36, 34))

_BASES: dict[str, Colour] = {
    "red": (222, 48, 50),
    "orange": (246, 134, 28),
    "yellow": (252, 216, 48),
    "green": (56, 160, 66),
    "blue": (48, 104, 222),
    "purple": (148, 72, 196),
    "white": (246, 247, 252),
    "black": (46, 45, 56),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shades:
    """A colour as it is drawn.

    Attributes:
        base: Itself.
        dark: Of limbs on the far side, ears and tails.
        light: Of bellies and muzzles.
        outline: Round everything; light round black, so that black shows in the dark.
        line: Of closed eyes and brows on the base.
    """

    base: Colour
    dark: Colour
    light: Colour
    outline: Colour
    line: Colour


def shades(colour: str) -> Shades:
    """The shades of one of `situations.COLOURS`."""
    base = _BASES[colour]
    if colour == "black":
        return Shades(
            base=base,
            dark=(30, 29, 38),
            light=(112, 110, 126),
            outline=(146, 146, 166),
            line=(236, 236, 244),
        )
    if colour == "white":
        return Shades(
            base=base,
            dark=(204, 209, 224),
            light=(226, 229, 240),
            outline=(92, 98, 126),
            line=INK,
        )
    return Shades(
        base=base,
        dark=mixed(base, INK, 0.26),
        light=mixed(base, (255, 246, 226), 0.62),
        outline=mixed(base, INK, 0.74),
        line=INK,
    )
