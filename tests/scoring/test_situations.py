"""Scores of situations: the official numbers, and what stands beside them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figclip.datasets.situations import SituationTruth, load_situation_truth, situation_truth_of
from figclip.errors import MetricError
from figclip.records import Annotation, Event, Role, VideoRecord
from figclip.scoring.scores import PredictionScores
from figclip.scoring.situation_files import (
    PredictedEvent,
    Predictions,
    RelationPrediction,
    RolePrediction,
    VerbPrediction,
)
from figclip.scoring.situations import score_relations, score_roles, score_verbs
from figclip.tasks.base import check_item_means
from tests.golden_checks import Case, load_cases
from tests.situation_checks import check_relations, check_roles, check_verbs, score_case
from tests.situation_files import (
    RELATIONS,
    SEGMENTS,
    annotation,
    official,
    relation_rows,
    role_rows,
    verb_rows,
    write_official,
)

FOLDER = Path(__file__).parents[1] / "goldens"
CHECKS = {
    "vidsitu_verbs": check_verbs,
    "vidsitu_srl": check_roles,
    "vidsitu_evrel": check_relations,
}
CASES = [
    pytest.param(check, case, id=f"{name}-{case['name']}")
    for name, check in CHECKS.items()
    for case in load_cases(FOLDER / f"{name}.json")
]


@pytest.mark.parametrize(("check", "case"), CASES)
def test_official_numbers(check: Callable[[Case, Path], None], case: Case, tmp_path: Path):
    check(case, tmp_path)


def inputs(predictions: list[dict[str, Any]]) -> dict[str, Any]:
    content = official()
    return {
        "split": content["vseg_split_valid_lb.json"],
        "vinfo": content["vinfo_valid_lb.json"],
        "annotations": content["vsann_valid_lb.json"],
        "predictions": predictions,
    }


def test_right_predictions(tmp_path: Path):
    verbs = score_case(tmp_path / "verbs", inputs(verb_rows()), "verbs")
    assert verbs.protocol == "vidsitu_verbs"
    assert verbs.counts == {"videos": 3, "events": 15, "frequent verbs": 1}
    assert [verbs.scores[name].official for name in ("Acc@1", "Acc@5", "Rec@5")] == [1, 1, 1]
    relations = score_case(tmp_path / "relations", inputs(relation_rows()), "relations")
    assert relations.counts == {"videos": 3, "events": 12, "labels given": 36}
    assert [relations.scores[name].official for name in ("Top-1", "macro Top-1")] == [1, 1]
    roles = score_case(tmp_path / "roles", inputs(role_rows()), "roles")
    assert roles.counts == {"videos": 3, "events": 15, "roles": 60}
    assert roles.scores["Lea"].official == 1
    assert roles.scores["ROUGE-L of Arg0"].official == 1
    for found in (verbs, relations, roles):
        check_item_means(found.scores, found.items)
        assert found.notices == () and found.left_out == ()
        assert {group for one in found.items for group in one.group_ids} <= {
            "aaaaaaaaaaa",
            "bbbbbbbbbbb",
        }
        for block in found.items:
            assert len(set(block.item_ids)) == len(block.item_ids)


def test_segments_without_annotation_are_left_out(tmp_path: Path):
    one = inputs(role_rows())
    one["annotations"] = one["annotations"][:6]
    found = score_case(tmp_path, one, "roles")
    assert found.counts["videos"] == 2
    assert [(left.item, left.reason) for left in found.left_out] == [
        (SEGMENTS[2], "no annotated roles")
    ]


def test_videos_without_prediction_cost_nothing_officially(tmp_path: Path):
    rows = role_rows()
    rows[1]["vb_output"] = {}
    lea = score_case(tmp_path, inputs(rows), "roles").scores["Lea"]
    assert lea.official == 1
    assert lea.corrected == pytest.approx(2 * (2 / 3) / (1 + 2 / 3))


def test_all_annotators_count_in_the_corrected_lea(tmp_path: Path):
    one = inputs(role_rows())
    del one["annotations"][1:3]  # officially one annotator of each video now counts
    for entry in one["annotations"][1:]:
        entry["Ev1"]["Args"]["Arg0 (walker)"] = "somebody"
    found = score_case(tmp_path, one, "roles")
    assert found.scores["Lea"].corrected is not None
    one["annotations"] = one["annotations"][1:] + one["annotations"][:1]
    one["split"] = [*SEGMENTS[1:], SEGMENTS[0]]
    again = score_case(tmp_path, one, "roles")
    assert any("the first video has more annotations" in notice for notice in again.notices)


def test_single_items_do_not_count_in_the_corrected_macro_mean(tmp_path: Path):
    one = inputs(role_rows())
    for entry in one["annotations"][:3]:
        for name in ("Arg1 (path)", "ArgM (location)", "Scene of the Event"):
            del entry["Ev1"]["Args"][name]
        entry["Ev1"]["VerbID"] = "hop.01"
    score = score_case(tmp_path, one, "roles").scores["CIDEr-Vb"]
    assert score.corrected == pytest.approx(2 * score.official)


# --- Some videos of a split


def split_of(folder: Path, *numbers: int) -> SituationTruth:
    """A split whose videos have so many annotators, each of whom has words of their own."""
    segments = tuple(f"v_{chr(97 + idx) * 11}_seg_0_10" for idx in range(len(numbers)))
    content = official(segments)
    entries = [
        entry for idx, number in enumerate(numbers) for entry in annotators(segments[idx], number)
    ]
    content["vsann_valid_lb.json"] = entries
    return load_situation_truth(write_official(folder, content), "valid")


def annotators(segment: str, number: int) -> list[dict[str, Any]]:
    entries = [annotation(segment) for _ in range(number)]
    for idx, entry in enumerate(entries):
        for event in entry.values():
            event["Args"]["Arg0 (walker)"] = f"man number {idx}"
            event["Args"]["Arg1 (path)"] = f"man number {idx}" if idx % 2 else "road"
    return entries


def written(truth: SituationTruth, *video_idxs: int) -> Predictions[RolePrediction]:
    event = PredictedEvent(texts={"Arg0": "man number 1", "Arg1": "man number 3"})
    events = (event,) * 5
    return Predictions(
        videos=tuple(RolePrediction(video_idx=idx, events=events) for idx in video_idxs),
        is_partial=True,
    )


def rouge_of(found: PredictionScores) -> dict[str, float]:
    block = found.items[0]
    return dict(zip(block.item_ids, block.values["ROUGE-L"].tolist(), strict=True))


def test_annotators_are_those_of_the_split_whichever_videos_are_predicted(tmp_path: Path):
    truth = split_of(tmp_path, 5, 4, 6, 5)
    whole = rouge_of(score_roles(truth, written(truth, 0, 1, 2, 3)))
    for part in ((3,), (1, 2), (0, 3)):
        found = score_roles(truth, written(truth, *part))
        rouge = rouge_of(found)
        assert rouge == {item: whole[item] for item in rouge}
        assert len(rouge) == 20 * len(part)
        assert [one.item for one in found.left_out] == [
            video.id for idx, video in enumerate(truth.videos) if idx not in part
        ]
        assert {one.reason for one in found.left_out} == {"no prediction"}


def test_as_many_annotators_count_as_the_first_video_of_the_split_has(tmp_path: Path):
    truth = split_of(tmp_path, 1, 3, 3)
    lea = score_roles(truth, written(truth, 1, 2)).scores["Lea"]
    alone = split_of(tmp_path, 3, 3)
    assert lea.corrected == score_roles(alone, written(alone, 0, 1)).scores["Lea"].official
    assert lea.official != lea.corrected


def test_one_annotator_does_not_agree_where_others_of_the_split_do(tmp_path: Path):
    truth = split_of(tmp_path, 1, 3)
    labels = tuple((label,) for label in RELATIONS.values())
    alone = Predictions(videos=(RelationPrediction(video_idx=0, labels=labels),), is_partial=True)
    with pytest.raises(MetricError, match="agree"):
        score_relations(truth, alone)
    verbs = tuple((("walk.01",), ("walk.01",) * 2)[idx > 0] for idx in range(2))
    several = replace(
        truth,
        videos=tuple(
            replace(video, verb_ids=(chosen,) * 5)
            for video, chosen in zip(truth.videos, verbs, strict=True)
        ),
    )
    said = VerbPrediction(video_idx=0, verb_ids=(("walk.01",),) * 5)
    found = score_verbs(several, Predictions(videos=(said,), is_partial=True))
    assert found.scores["Rec@5 of verbs of over 0 events"].official == 0


def test_what_is_partial_must_hold_something(tmp_path: Path):
    truth = split_of(tmp_path, 3, 3)
    with pytest.raises(MetricError, match="has no predicted video with annotated roles"):
        score_roles(truth, written(truth))


# --- Own annotations


def record(name: str, *annotators: str) -> VideoRecord:
    """A video of two events; each annotator names the thing that is cut."""

    def events(thing: str) -> tuple[Event, ...]:
        roles = (
            Role(name="cutter", text="man in a hat", slot="Arg0"),
            Role(name="thing", text=thing, slot="Arg1"),
            Role(name="tool", text="knife", slot="ArgM"),
            Role(name="manner", text="slowly", slot="ArgM"),
        )
        return tuple(
            Event(start_s=start, end_s=start + 1, verb="cut", roles=roles, relation=relation)
            for start, relation in ((0.0, "Enables"), (1.0, ""))
        )

    return VideoRecord(
        id=name,
        video=f"{name}.mp4",
        split="valid",
        group="",
        annotations=tuple(Annotation(events=events(thing)) for thing in annotators),
    )


def own_truth() -> SituationTruth:
    return situation_truth_of([record("one", "red bread"), record("two", "old rope")])


def roles_of(*things: str) -> Predictions[RolePrediction]:
    return Predictions(
        videos=tuple(
            RolePrediction(
                video_idx=idx,
                events=(
                    PredictedEvent(
                        verb_id="cut",
                        texts={"Arg0": "man in a hat", "Arg1": thing, "tool": "knife"},
                    ),
                )
                * 2,
            )
            for idx, thing in enumerate(things)
        )
    )


def test_own_roles_are_scored_under_their_own_names():
    found = score_roles(own_truth(), roles_of("red bread", "old rope"))
    assert found.data.name == "events"
    assert found.counts == {"videos": 2, "events": 4, "roles": 12}  # not the manner
    assert found.scores["ROUGE-L of tool"].official == 1
    assert found.scores["Lea"].official == 1
    assert found.items[0].item_ids[2] == "one/Ev1/ArgM (tool)"
    worse = score_roles(own_truth(), roles_of("red bread", "red bread"))
    assert worse.scores["CIDEr"].official < found.scores["CIDEr"].official


def test_own_annotators_may_differ():
    both = record("one", "red bread", "bread")
    first, second = both.annotations
    without_tool = tuple(
        Event(start_s=e.start_s, end_s=e.end_s, verb=e.verb, roles=e.roles[:2])
        for e in second.events
    )
    records = [
        VideoRecord(
            id="one",
            video="one.mp4",
            split="valid",
            group="",
            annotations=(first, Annotation(events=without_tool)),
        ),
        record("two", "old rope"),
    ]
    found = score_roles(situation_truth_of(records), roles_of("red bread", "old rope"))
    text = "not given by all annotators: scored by those who do"
    kept = [notice for notice in found.notices if text in notice]
    # Which annotation counts first, the shuffle decides; only its roles are scored.
    assert found.counts["roles"] == 12 - 2 * (not kept)


def test_one_annotator_counts_where_there_is_no_other():
    truth = own_truth()
    verbs = Predictions(
        videos=tuple(
            VerbPrediction(video_idx=idx, verb_ids=(("cut",), ("eat", "cut"))) for idx in (0, 1)
        )
    )
    found = score_verbs(truth, verbs)
    assert found.scores["Acc@1"].official == 0.5
    assert found.scores["Rec@5 of verbs of over 0 events"].official == 1
    assert found.scores["Rec@5"].official == 0
    assert found.notices == ("No verb has over 9 events: Rec@5 is 0",)
    relations = Predictions(
        videos=tuple(
            RelationPrediction(video_idx=idx, labels=((label,),))
            for idx, label in enumerate(("Enables", "NoRel"))
        )
    )
    scored = score_relations(truth, relations)
    assert scored.scores["Top-1"].official == 0.5
    check_all_means(found, scored)


def check_all_means(*found: PredictionScores) -> None:
    for one in found:
        check_item_means(one.scores, one.items)


def test_what_cannot_be_scored_is_named():
    truth = own_truth()
    with pytest.raises(MetricError, match="two: has no prediction"):
        score_roles(truth, roles_of("red bread"))
    with pytest.raises(MetricError, match="no video with annotated roles"):
        score_roles(situation_truth_of([record("none")]), roles_of())


def test_equal_scores_from_a_copy_are_equal():
    one = score_roles(own_truth(), roles_of("red bread", "rope"))
    two = score_roles(own_truth(), roles_of("red bread", "rope"))
    assert one.scores == two.scores
    for first, second in zip(one.items, two.items, strict=True):
        for name, values in first.values.items():
            np.testing.assert_array_equal(values, second.values[name])
