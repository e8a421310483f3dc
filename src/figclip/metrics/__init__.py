"""Pure functions on arrays. Those of `__all__` are public; paths of inner modules may change."""

from figclip.metrics.classification import classify
from figclip.metrics.composition import judge, judge_winoground
from figclip.metrics.intervals import paired_bootstrap
from figclip.metrics.ranking import hits_at_k
from figclip.metrics.retrieval import one_caption_scores, retrieve

__all__ = [
    "classify",
    "hits_at_k",
    "judge",
    "judge_winoground",
    "one_caption_scores",
    "paired_bootstrap",
    "retrieve",
]
