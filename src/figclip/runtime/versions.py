"""Versions of what results depend on."""

from importlib.metadata import version

from figclip import __version__

PACKAGES = ("torch", "transformers", "peft", "accelerate", "numpy", "scikit-learn", "av", "pillow")


def package_versions() -> dict[str, str]:
    """Versions of figclip and of the packages that weights and scores depend on, by name."""
    return {"figclip": __version__, **{name: version(name) for name in PACKAGES}}
