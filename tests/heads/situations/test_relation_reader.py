"""Relations read verbs and roles: all of what is given, of whom it is, and nothing else."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from figclip.config.parsing import apply_overrides
from figclip.datasets.situations import TrueEvent, situation_truth_of
from figclip.heads.features import EventFeatures
from figclip.heads.situations.head import (
    SituationHead,
    SituationVocabulary,
    build_situation_vocabulary,
    predict_situations,
    written_roles,
)
from figclip.heads.situations.relation_reader import (
    annotated_roles,
    middle_rows,
    pair_width,
    pool_roles,
    read_pairs,
)
from figclip.heads.situations.task import TASK
from figclip.heads.vocabulary import END, PAD, UNKNOWN
from figclip.records import VideoRecord
from figclip.training.batches import BatchItem
from tests.heads.situations.test_training import (
    CONFIG,
    DIM,
    make_video,
    telling_features,
    train,
)

WORDS = apply_overrides(CONFIG, ["inputs.relations=words", "head.beam=1"])
NUM_MARKS, NUM_TOKENS = 2, 9
"""Tokens 3 and 4 are keys of roles, those from 5 on words."""

ROLES = (
    [3, 5, 6, 4, 7, END],
    [END],
    [4, 8, UNKNOWN, 8, 3, END],
    [5, 3, UNKNOWN, END],
)


def pool(rows: list[int], *, length: int) -> tuple[Tensor, Tensor]:
    """Roles of some of `ROLES`, padded to a length, by key; and the embeddings of words."""
    table = torch.randn(NUM_TOKENS, 8, generator=torch.Generator().manual_seed(0))
    role_NL = torch.tensor([[*ROLES[row], *[PAD] * length][:length] for row in rows])
    return pool_roles(table[role_NL], role_NL, num_marks=NUM_MARKS), table


def test_roles_are_the_means_of_their_words():
    found, table = pool([0, 1, 2, 3], length=9)
    expected = torch.zeros(4, NUM_MARKS, 8)
    expected[0, 0] = (table[5] + table[6]) / 2
    expected[0, 1] = table[7]
    # The unknown word is left out, as is one before the first key.
    expected[2, 1] = table[8]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_pairs_by_hand():
    roles_NKD, _ = pool([0, 1, 2], length=6)
    event_ND, verb_ND = torch.randn(2, 3, 8)
    found = read_pairs(event_ND, verb_ND, roles_NKD, middle_N=torch.tensor([2, 2, 2]))
    assert found.shape == (3, pair_width(8, num_marks=NUM_MARKS))
    means = [(roles_NKD[0, 0] + roles_NKD[0, 1]) / 2, torch.zeros(8), roles_NKD[2, 1]]
    own = [torch.cat(one) for one in zip(event_ND, verb_ND, means, strict=True)]
    for row in range(3):
        cosines = [
            torch.cosine_similarity(roles_NKD[row, key], roles_NKD[2, other], dim=0)
            for key in range(NUM_MARKS)
            for other in range(NUM_MARKS)
        ]
        expected = torch.cat([own[row], own[2], torch.stack(cosines)])
        torch.testing.assert_close(found[row], expected, atol=1e-6, rtol=0)
    assert found[2, -1] == pytest.approx(1, abs=1e-6)


def test_rows_of_middle_events_by_hand():
    assert middle_rows([5, 1, 2]) == [2, 2, 2, 2, 2, 5, 7, 7]
    assert middle_rows([]) == []


def test_what_annotators_say_is_what_training_reads():
    record = make_video("v", random.Random(0))
    (true,) = situation_truth_of([record]).videos[0].annotations
    assert list(map(annotated_roles, true)) == [
        written_roles(event) for event in record.annotations[0].events
    ]
    event = TrueEvent(
        verb_id="push.01",
        roles={"Arg0 (pusher)": " a  cat", "Arg1 (thing pushed)": "-", "ArgM (manner)": "slowly"},
    )
    assert annotated_roles(event) == {"Arg0": "a cat"}


def fresh(records: list[VideoRecord]) -> tuple[SituationHead, SituationVocabulary]:
    vocabulary = build_situation_vocabulary(records, min_word_count=1)
    head = TASK.fresh_head(WORDS, vocabulary, feature_dim=DIM)
    with torch.no_grad():  # so that small differences between words show
        head.get_parameter("relation_classifier.2.weight").mul_(100)
    return head, vocabulary


def test_every_annotator_has_relations_by_his_own_words():
    rng = random.Random(1)
    records = [make_video(f"v{i}", rng) for i in range(6)]
    head, vocabulary = fresh(records)
    features = telling_features(records)
    told = [video.annotations[0] for video in situation_truth_of(records).videos]
    others = [*told[1:], told[0]]

    def labels(annotators):
        found = predict_situations(
            head, features, records, vocabulary=vocabulary, annotators=annotators
        )
        return [one.labels for one in found.relations]

    alone = [labels([(one,) for one in said]) for said in (told, others)]
    both = labels(list(zip(told, others, strict=True)))
    assert both == [
        tuple((*a, *b) for a, b in zip(first, second, strict=True))
        for first, second in zip(*alone, strict=True)
    ]
    assert alone[0] != alone[1], "words change nothing: nothing is tested"
    hidden = [
        tuple(tuple(replace(event, relation="") for event in one) for one in pair)
        for pair in zip(told, others, strict=True)
    ]
    assert labels(hidden) == both, "the truth is looked at"


def test_heads_that_read_outputs_only_do_not_look_at_words():
    rng = random.Random(2)
    records = [make_video(f"v{i}", rng) for i in range(4)]
    vocabulary = build_situation_vocabulary(records, min_word_count=1)
    config = apply_overrides(WORDS, ["inputs.relations=outputs"])
    head = TASK.fresh_head(config, vocabulary, feature_dim=DIM)
    features = telling_features(records)
    others = [*situation_truth_of(records[1:] + records[:1]).videos]
    found = [
        predict_situations(head, features, records, vocabulary=vocabulary, annotators=annotators)
        for annotators in (None, [one.annotations * 2 for one in others])
    ]
    assert found[0].relations == found[1].relations


@pytest.mark.slow
def test_words_tell_the_relations_of_new_videos(tmp_path: Path):
    """Relations say whether the first role is the middle event's; features say nothing."""
    rng = random.Random(3)
    records = [same_or_not(make_video(f"v{i}", rng)) for i in range(160)]
    first, others = records[:120], records[120:]
    trainee, vocabulary = train(first, silent_features(120), tmp_path, config=WORDS)
    found = predict_situations(trainee.head, silent_features(40), others, vocabulary=vocabulary)
    right = [
        labels == (event.relation,)
        for one, record in zip(found.relations, others, strict=True)
        for labels, event in zip(one.labels, record.annotations[0].events[::2], strict=True)
    ]
    assert sum(right) / len(right) > 0.9


def silent_features(num_videos: int) -> EventFeatures:
    rows = torch.full((3, 2, DIM), DIM**-0.5)
    return EventFeatures({BatchItem(i, 0): rows for i in range(num_videos)}, DIM)


def same_or_not(record: VideoRecord) -> VideoRecord:
    """The video with relations that its roles decide."""
    (annotation,) = record.annotations
    middle = annotation.events[1].roles[0].text
    events = tuple(
        replace(event, relation=event.relation and told(event.roles[0].text == middle))
        for event in annotation.events
    )
    return replace(record, annotations=(replace(annotation, events=events),))


def told(is_same: bool) -> str:
    return "Causes" if is_same else "NoRel"
