"""Contrastive losses at event and video level, with hard negatives and masked false negatives.

Shapes: N events or videos of the global batch, K hard negatives, D embedding (see `records`).
All embeddings are L2-normalised fp32; `logit_scale` is exp of CLIP's parameter.
"""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from jaxtyping import Bool, Float, Int
from torch import Tensor


def equal_mask(value_N: Int[Tensor, " N"]) -> Bool[Tensor, "N N"]:
    """Pairs of different items that are alike, for example false negatives of each other.

    Values are equal where items are: the hash of their text (`annotations.captions.text_hash`), or
    their video. The diagonal, each item's own positive, is False.
    """
    equal_NN = value_N[:, None] == value_N[None, :]
    equal_NN.fill_diagonal_(False)
    return equal_NN


def info_nce(
    visual_ND: Float[Tensor, "N D"],
    text_ND: Float[Tensor, "N D"],
    *,
    logit_scale: Float[Tensor, ""],
    excluded_NN: Bool[Tensor, "N N"],
    negatives_NKD: Float[Tensor, "N K D"] | None = None,
    negative_present_NK: Bool[Tensor, "N K"] | None = None,
) -> Float[Tensor, ""]:
    """Symmetric InfoNCE; hard negatives enter the visual-to-text denominator only.

    Row i of the texts belongs to visual row i. `excluded_NN` are pairs left out of both directions'
    denominators; its diagonal must be False. `negatives_NKD` are each item's own hard negative
    texts; `negative_present_NK`, required with them, is False where one is a masked column.

    Returns:
        Mean of the two directions' cross entropies, in nats.

    Source:
        FiGCLIP (arXiv 2401.07669), section 3: the two directions are averaged, and only
        video-to-text
        sees the hard negatives.
    """
    logits_NN = logit_scale * visual_ND @ text_ND.T
    logits_NN = logits_NN.masked_fill(excluded_NN, -torch.inf)
    labels_N = torch.arange(len(logits_NN), device=logits_NN.device)
    to_text = logits_NN
    if negatives_NKD is not None:
        assert negative_present_NK is not None, "hard negatives need their mask"
        hard_NK = logit_scale * torch.einsum("nd,nkd->nk", visual_ND, negatives_NKD)
        to_text = torch.cat([logits_NN, hard_NK.masked_fill(~negative_present_NK, -torch.inf)], 1)
    return (F.cross_entropy(to_text, labels_N) + F.cross_entropy(logits_NN.T, labels_N)) / 2


def sigmoid_loss(
    visual_ND: Float[Tensor, "N D"],
    text_ND: Float[Tensor, "N D"],
    *,
    logit_scale: Float[Tensor, ""],
    logit_bias: Float[Tensor, ""],
    excluded_NN: Bool[Tensor, "N N"],
    negatives_NKD: Float[Tensor, "N K D"] | None = None,
    negative_present_NK: Bool[Tensor, "N K"] | None = None,
) -> Float[Tensor, ""]:
    """SigLIP's loss: each pair of a picture and a text fits or does not, whatever the others do.

    The arguments are those of `info_nce`. Pairs of `excluded_NN` are left out, and each hard
    negative is one more pair that does not fit, with its own item only.

    Returns:
        Mean over items of the sum of the binary cross entropies of their pairs, in nats.

    Source:
        SigLIP (Zhai et al. 2023, arXiv 2303.15343), algorithm 1; hard negatives and excluded pairs
        are ours.
    """
    logits_NN = logit_scale * visual_ND @ text_ND.T + logit_bias
    signs_NN = 2 * torch.eye(len(logits_NN), device=logits_NN.device) - 1
    pairs_NN = F.logsigmoid(signs_NN.to(logits_NN.dtype) * logits_NN)
    total = pairs_NN.masked_fill(excluded_NN, 0).sum()
    if negatives_NKD is not None:
        assert negative_present_NK is not None, "hard negatives need their mask"
        hard_NK = logit_scale * torch.einsum("nd,nkd->nk", visual_ND, negatives_NKD) + logit_bias
        total = total + F.logsigmoid(-hard_NK).masked_fill(~negative_present_NK, 0).sum()
    return -total / len(logits_NN)


def contrastive_loss(
    logit_scale: Float[Tensor, ""], logit_bias: Float[Tensor, ""] | None
) -> Callable[..., Float[Tensor, ""]]:
    """The loss that a base was trained with: the sigmoid loss if its logits have a bias.

    Returns:
        `info_nce` or `sigmoid_loss`, which lacks only embeddings and masks.
    """
    if logit_bias is None:
        return partial(info_nce, logit_scale=logit_scale)
    return partial(sigmoid_loss, logit_scale=logit_scale, logit_bias=logit_bias)


def concept_loss(
    visual_ND: Float[Tensor, "N D"],
    concept_MD: Float[Tensor, "M D"],
    *,
    belongs_NM: Bool[Tensor, "N M"],
    logit_scale: Float[Tensor, ""],
    logit_bias: Float[Tensor, ""] | None = None,
) -> Float[Tensor, ""]:
    """InfoNCE of events against phrases, of which each event has several and each several events.

    Every pair of `belongs_NM` is a positive of its own: the others of its event, or of its phrase,
    are not in its denominator. All events count alike, and in the other direction all phrases,
    however many pairs they have. Each event has a phrase and each phrase an event.

    With a bias it is SigLIP's loss instead: each pair of an event and a phrase fits or does not.

    Returns:
        Mean of the two directions' cross entropies, in nats; with a bias the mean over phrases of
        the sum of the binary cross entropies of their pairs.

    Source:
        C2LIP (arXiv 2603.25722) aligns images with the noun phrases of their captions, with
        SigLIP's loss; the form for the softmax of CLIP is ours.
    """
    logits_NM = logit_scale * visual_ND @ concept_MD.T
    if logit_bias is not None:
        signs_NM = 2 * belongs_NM.to(logits_NM.dtype) - 1
        pairs_NM = F.logsigmoid(signs_NM * (logits_NM + logit_bias))
        return -pairs_NM.sum() / len(concept_MD)
    # Finite, as there is no gradient where all of a denominator is left out.
    false_NM = logits_NM.masked_fill(belongs_NM, torch.finfo(logits_NM.dtype).min)
    to_concept_NM = F.softplus(false_NM.logsumexp(dim=1, keepdim=True) - logits_NM)
    to_event_NM = F.softplus(false_NM.logsumexp(dim=0, keepdim=True) - logits_NM)
    pairs_NM = belongs_NM.to(logits_NM.dtype)
    by_event_N = (to_concept_NM * pairs_NM).sum(dim=1) / pairs_NM.sum(dim=1)
    by_concept_M = (to_event_NM * pairs_NM).sum(dim=0) / pairs_NM.sum(dim=0)
    return (by_event_N.mean() + by_concept_M.mean()) / 2


def keep_loss(
    picture_ND: Float[Tensor, "N D"],
    text_MD: Float[Tensor, "M D"],
    *,
    base_picture_ND: Float[Tensor, "N D"],
    base_text_MD: Float[Tensor, "M D"],
    logit_scale: Float[Tensor, ""],
    temperature: float,
) -> Float[Tensor, ""]:
    """How far the adapted CLIP sees other texts in pictures than its base does.

    `base_picture_ND` and `base_text_MD` are the same pictures and texts as the base embeds them,
    and `logit_scale` is the base's. Texts need not fit the pictures. The higher the temperature,
    the more those count that fit a picture less well.

    Returns:
        Mean over pictures of the Kullback-Leibler divergence of the distribution over texts, the
        base's against the adapted one's, both softened by the temperature, in nats; times the
        square of the temperature, so that gradients keep their size.

    Source:
        Learning without Forgetting (Li and Hoiem 2016, eq. 2 and 3), with other pictures than
        those trained on and CLIP's similarities in place of class scores; the square is from
        Distilling the Knowledge in a Neural Network (Hinton et al. 2015, section 2).
    """
    scale = logit_scale / temperature
    adapted_NM = (scale * picture_ND @ text_MD.T).log_softmax(dim=1)
    base_NM = (scale * base_picture_ND @ base_text_MD.T).log_softmax(dim=1)
    divergence = F.kl_div(adapted_NM, base_NM, reduction="batchmean", log_target=True)
    return temperature**2 * divergence


def mean_of_segments(
    values_ND: Float[Tensor, "N D"], segment_of_N: Int[Tensor, " N"], *, num_segments: int
) -> Float[Tensor, "B D"]:
    """Mean of the rows of each segment, for example of the events of each video; not normalised.

    Every segment, in [0, num_segments), has a row; rows may be of any scale.
    """
    sums_BD = values_ND.new_zeros(num_segments, values_ND.shape[1])
    sums_BD = sums_BD.index_add(0, segment_of_N, values_ND)
    counts_B = torch.bincount(segment_of_N)
    return sums_BD / counts_B[:, None]
