"""Choose where features come from: the models that a user names, or a file of features."""

from pathlib import Path

from figclip.config import FrameLayer
from figclip.errors import ConfigError, DataError
from figclip.evaluation.sources import DataSource, check_source
from figclip.heads.feature_file import FeatureFile
from figclip.heads.features import FEATURES, FeatureSource
from figclip.heads.frozen_models import load_frozen_models
from figclip.heads.run import HeadInfo
from figclip.model.embedding_settings import DEFAULT_EMBEDDING, EmbeddingSettings
from figclip.runtime.progress import Progress
from figclip.video.store import is_store


def origin_of(
    model: str | Path | None, features: Path | None, *, base: str | Path | None
) -> str | Path:
    """The model or the file of features; a `ConfigError` if both are given, or neither."""
    origin = features if model is None else model
    if origin is None:
        raise ConfigError(
            "there is nothing to train heads on",
            where="--model",
            fix="Give a model, or --features with a file of features",
        )
    if features is not None and (model, base) != (None, None):
        raise ConfigError(
            "cannot be given beside --features: a file has its features from elsewhere",
            where="--base" if model is None else "--model",
            fix="Give one of both",
        )
    return origin


def check_footage(data: DataSource, *, features: Path | None, cache: Path | None) -> None:
    """Find out whether data can be opened: with their videos, or, by a file of features, without.

    Raises:
        ConfigError, DataError: videos beside features, a frame store, or what `check_source` finds.
    """
    if features is None:
        check_source(data, cache=cache)
        return
    places = {"videos": data.videos, "images": data.images, "store": data.store}
    for option, place in places.items():
        if place is not None:
            raise ConfigError(
                "cannot be given beside --features, which stand for the videos",
                where=f"{option}={place}",
                fix="Leave it out",
            )
    if not data.path.exists():
        raise DataError("does not exist", where=str(data.path))
    if is_store(data.path):
        fix = "Give the annotations that it was prepared from"
        raise ConfigError("is a frame store, and features need none", where=str(data.path), fix=fix)


def load_sources(
    model: str | Path | None,
    *,
    features: Path | None,
    base: str | Path | None = None,
    feature_dim: int | None = None,
    layer: FrameLayer = "embedding",
    cache: Path | None,
    device: str,
    embedding: EmbeddingSettings = DEFAULT_EMBEDDING,
    on_progress: Progress | None,
) -> tuple[tuple[FeatureSource, ...], tuple[str, ...]]:
    """A file of features, whose rows have `feature_dim` numbers, alone; else the models.

    `layer` is where in a model features are taken; a file has those that it has.

    Returns:
        The sources, base first, and what is to be said of them.

    Raises:
        ConfigError: a precision or a size of batches for a file, which nothing embeds.
    """
    if features is not None:
        if embedding != DEFAULT_EMBEDDING:
            raise ConfigError(
                "are of a model that embeds, and features have been embedded elsewhere",
                where="--precision and --batch-size",
                fix="Leave them out",
            )
        return (FeatureFile.open(features, dim=feature_dim),), ()
    assert model is not None, "checked by origin_of"
    return load_frozen_models(
        model,
        base=base,
        layer=layer,
        cache=cache,
        device=device,
        embedding=embedding,
        on_progress=on_progress,
    )


def file_for(info: HeadInfo, features: Path | None, *, run: Path) -> Path | None:
    """The file of features that the heads of a run are to read: by default that of their training.

    None where they were trained on models; a `ConfigError` if then a file is given.
    """
    if FEATURES in info.models:
        return features or Path(info.model)
    if features is not None:
        raise ConfigError(
            f"cannot be given: the heads of {run} were trained on {info.model}, not on a file",
            where="--features",
            fix="Leave it out",
        )
    return None
