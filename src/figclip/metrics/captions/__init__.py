"""Scores of sentences against reference sentences: pure Python and numpy."""

from figclip.metrics.captions.bleu import BleuScores as BleuScores
from figclip.metrics.captions.bleu import bleu as bleu
from figclip.metrics.captions.bleu import bleu_by_group as bleu_by_group
from figclip.metrics.captions.cider import cider_d as cider_d
from figclip.metrics.captions.cider import cider_d_by_group as cider_d_by_group
from figclip.metrics.captions.corpus import CaptionCorpus as CaptionCorpus
from figclip.metrics.captions.meteor import MeteorStats as MeteorStats
from figclip.metrics.captions.meteor import meteor_exact as meteor_exact
from figclip.metrics.captions.meteor import meteor_exact_stats as meteor_exact_stats
from figclip.metrics.captions.official_meteor import OfficialMeteor as OfficialMeteor
from figclip.metrics.captions.ptb import tokenize as tokenize
from figclip.metrics.captions.rouge import rouge_l as rouge_l
