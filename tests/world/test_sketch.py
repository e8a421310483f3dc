import hashlib
import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from figclip.data.captions import TEMPLATES, caption_event
from figclip.data.fillers import says_nothing
from figclip.data.pixels import PixelPipeline
from figclip.data.video import decode_frames, probe_video
from figclip.data.vidsitu import load_source
from figclip.errors import ConfigError
from figclip.records import AnnotationSet, Event
from figclip.world.sketch import _deeds, _segment, draw_frames, draw_sketch
from figclip.world.sketch_figures import ACTORS, COLOURS, PROPS, SCENES, SIZES_PX, Figure
from figclip.world.sketch_verbs import MANNERS, VERBS, Deed
from figclip.world.small_clip import _byte_tokenizer

NUM_VIDEOS, NUM_VALID = 8, 3


@pytest.fixture(scope="module")
def sketch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sketch")
    draw_sketch(out, num_videos=NUM_VIDEOS, num_valid=NUM_VALID, seed=0)
    return out


@pytest.fixture(scope="module")
def annotations(sketch: Path) -> AnnotationSet:
    return load_source(sketch / "annotations")


def read(sketch: Path, path: str) -> Any:
    return json.loads((sketch / "annotations" / path).read_text())


def deed(verb: str, direction: str, manner: str) -> Deed:
    return Deed(
        verb=next(known for known in VERBS if known.name == verb),
        agent=Figure(kind="dog", colour="red", size="small"),
        patient=Figure(kind="box", colour="blue", size="large"),
        direction=direction,
        manner=manner,
        scene="road",
    )


def centre_of(image: np.ndarray, *, channel: int) -> np.ndarray:
    """x, y of the pixels in which one colour channel stands out."""
    rest = np.delete(image.astype(int), channel, axis=2).max(axis=2)
    ys, xs = np.nonzero(image[:, :, channel] - rest > 90)
    return np.array([xs.mean(), ys.mean()])


class TestFiles:
    def test_loads_as_vidsitu_with_nothing_to_handle_but_the_merged_annotators(self, annotations):
        assert annotations.name == "vidsitu"
        assert annotations.split_sizes == {"train": 5, "valid": 3}
        assert [record.split for record in annotations.records] == ["train"] * 5 + ["valid"] * 3
        assert all("merged" in notice for notice in annotations.notices)
        assert all(len(a.events) == 5 for r in annotations.records for a in r.annotations)

    def test_valid_has_three_consecutive_entries_of_each_segment(self, sketch):
        entries = read(sketch, "vseg_ann_files/vsann_valid_lb.json")
        ids = [entry["Ev1"]["vid_seg_int"] for entry in entries]
        listed = read(sketch, "split_files/vseg_split_valid_lb.json")
        assert ids == [segment for segment in listed for _ in range(3)]
        assert len(read(sketch, "vseg_ann_files/vsann_train_lb.json")) == 5

    def test_an_entry_has_the_official_keys(self, sketch):
        for entry in read(sketch, "vseg_ann_files/vsann_valid_lb.json"):
            assert list(entry) == ["Ev1", "Ev2", "Ev3", "Ev4", "Ev5"]
            for name, event in entry.items():
                relation = [] if name == "Ev3" else ["EvRel"]
                rest = ["Args", "Arg_List", "Verb", "VerbID"]
                assert list(event) == ["vid_uid", "vid_seg_int", *relation, *rest]
                places = [str(place) for place in range(len(event["Args"]))]
                assert event["Arg_List"] == dict(zip(event["Args"], places, strict=True))

    def test_vinfo_names_the_annotated_verbs_and_ten_choices(self, sketch):
        rows = read(sketch, "vinfo_files/vinfo_valid_lb.json")
        entries = read(sketch, "vseg_ann_files/vsann_valid_lb.json")[::3]
        for row, entry in zip(rows, entries, strict=True):
            assert row["vb_to_use"] == {name: event["Verb"] for name, event in entry.items()}
            label_of = {verb.label: verb.sense for verb in VERBS}
            for name in entry:
                assert len(row["vb_lst"][name]) == 10
                assert row["vbid_lst"][name] == [label_of[v] for v in row["vb_lst"][name]]

    def test_vocabulary_is_numbered_from_the_special_symbols_on(self, sketch):
        vocabulary = read(sketch, "vsitu_vocab/verb_voc.json")
        assert list(vocabulary)[:4] == ["<s>", "<pad>", "</s>", "<unk>"]
        assert list(vocabulary.values()) == list(range(4 + len(VERBS)))
        assert set(list(vocabulary)[4:]) == {verb.sense for verb in VERBS}

    def test_two_of_three_segments_share_a_youtube_id_and_ids_are_hard_to_split(self, annotations):
        groups: dict[str, list[str]] = defaultdict(list)
        for record in annotations.records:
            groups[record.group].append(record.split)
        assert [len(splits) for splits in groups.values()] == [2, 1, 2, 2, 1]
        assert all(len(set(splits)) == 1 for splits in groups.values())
        assert any("_" in group for group in groups)
        assert any(group.startswith("-") for group in groups)
        assert len({record.id for record in annotations.records}) == NUM_VIDEOS

    def test_the_dirt_of_the_real_files_occurs(self, annotations):
        events = [e for r in annotations.records for a in r.annotations for e in a.events]
        assert any(says_nothing(role.text) for event in events for role in event.roles)
        assert any(not event.scene for event in events)
        assert any(event.roles[0].slot == "Arg1" for event in events)

    def test_an_empty_split_is_refused(self, tmp_path):
        for num_valid in (0, 2, -1):
            with pytest.raises(ConfigError, match="leave a split empty"):
                draw_sketch(tmp_path, num_videos=2, num_valid=num_valid, seed=0)
        assert not list(tmp_path.iterdir())


class TestDeterminism:
    def test_same_seed_same_bytes_other_seed_other(self, sketch, tmp_path):
        draw_sketch(tmp_path / "again", num_videos=NUM_VIDEOS, num_valid=NUM_VALID, seed=0)
        assert digests(tmp_path / "again") == digests(sketch)
        draw_sketch(tmp_path / "other", num_videos=2, num_valid=1, seed=1)
        assert not digests(tmp_path / "other").items() & digests(sketch).items()

    def test_a_segment_does_not_depend_on_how_many_there_are(self, sketch, tmp_path):
        draw_sketch(tmp_path, num_videos=2, num_valid=1, seed=0)
        videos = {path: digest for path, digest in digests(tmp_path).items() if "videos" in path}
        assert len(videos) == 2
        assert videos.items() <= digests(sketch).items()


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*.*")
        if path.is_file()
    }


class TestVideos:
    def test_every_segment_has_a_video_of_ten_seconds(self, sketch, annotations):
        files = sorted(path.stem for path in (sketch / "videos").iterdir())
        assert files == sorted(record.video for record in annotations.records)
        probe = probe_video(sketch / "videos" / f"{files[0]}.mp4")
        assert (probe.width_px, probe.height_px) == (128, 128)
        assert (probe.num_frames, probe.duration_s) == (100, 10.0)

    def test_frames_are_shown_when_they_were_drawn(self, sketch):
        segment = _segment(0, "train", 0)
        drawn = [np.asarray(image).astype(int) for image in draw_frames(segment.deeds)]
        times_s = [0.0, 1.95, 2.0, 5.05, 9.999]
        decoded = decode_frames(
            sketch / "videos" / f"{segment.id}.mp4", times_s, pipeline=PixelPipeline(size=128)
        )
        assert decoded.shown_s == (0.0, 1.9, 2.0, 5.0, 9.9)
        for pixels, frame_idx in zip(decoded.frames_NHWC, (0, 19, 20, 50, 99), strict=True):
            errors = [np.abs(pixels.astype(int) - frame).mean() for frame in drawn]
            assert errors[frame_idx] < 6, "lossy, but the same picture"
            assert errors[frame_idx] == min(errors)


class TestMotion:
    @pytest.mark.parametrize(
        ("direction", "step"),
        [("left", (-1, 0)), ("right", (1, 0)), ("up", (0, -1)), ("down", (0, 1))],
    )
    @pytest.mark.parametrize("manner", MANNERS)
    def test_both_figures_of_a_push_go_the_same_way_the_agent_behind(self, direction, step, manner):
        frames = [np.asarray(image) for image in draw_frames([deed("push", direction, manner)])]
        for channel in (0, 2):
            moved = centre_of(frames[-1], channel=channel) - centre_of(frames[0], channel=channel)
            # 19 of 20 frame distances of 18 or 48 px.
            way = 17.1 if manner == "slowly" else 45.6
            np.testing.assert_allclose(moved, np.multiply(step, way), atol=1.5)
        ahead = centre_of(frames[9], channel=2) - centre_of(frames[9], channel=0)
        assert np.dot(ahead, step) > 15

    def test_who_pulls_goes_before_and_who_follows_behind_at_a_distance(self):
        distances = {
            verb: np.subtract(
                *(
                    centre_of(
                        np.asarray(next(draw_frames([deed(verb, "right", "slowly")]))), channel=c
                    )
                    for c in (0, 2)
                )
            )[0]
            for verb in ("pull", "push", "follow")
        }
        assert distances["pull"] > 25
        assert distances["follow"] < distances["push"] - 8 < -20

    def test_who_lifts_stays_and_the_patient_rises(self):
        frames = [np.asarray(image) for image in draw_frames([deed("lift", "up", "quickly")])]
        agent, patient = (
            centre_of(frames[-1], channel=channel) - centre_of(frames[0], channel=channel)
            for channel in (0, 2)
        )
        np.testing.assert_allclose(agent, (0, 0), atol=0.5)
        np.testing.assert_allclose(patient, (0, -38), atol=1.5)

    def test_who_is_hit_moves_only_after_the_blow(self):
        frames = [np.asarray(image) for image in draw_frames([deed("hit", "left", "quickly")])]
        x = [centre_of(frame, channel=2)[0] for frame in frames]
        np.testing.assert_allclose(x[:6], x[0], atol=0.5)
        assert x[-1] < x[0] - 25

    @pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
    def test_every_choice_of_a_verb_is_another_clip(self, verb):
        clips = {
            (direction, manner): b"".join(
                image.tobytes() for image in draw_frames([deed(verb.name, direction, manner)])
            )
            for direction in verb.directions
            for manner in MANNERS
        }
        assert len(set(clips.values())) == len(clips)

    def test_every_figure_and_scene_looks_different(self):
        pictures = set()
        for kind in (*ACTORS, *PROPS):
            for colour in COLOURS:
                for size in SIZES_PX:
                    for scene in SCENES:
                        agent = Figure(kind=kind, colour=colour, size=size)
                        event = Deed(
                            verb=VERBS[0],
                            agent=agent,
                            patient=None,
                            direction="left",
                            manner="slowly",
                            scene=scene,
                        )
                        pictures.add(next(draw_frames([event])).tobytes())
        assert len(pictures) == 8 * 6 * 2 * 4


class TestCaptions:
    def test_official_roles_in_order(self):
        roles = deed("push", "left", "slowly").verb.roles
        assert list(roles) == [
            "Arg0 (pusher)",
            "Arg1 (thing pushed)",
            "ArgM (direction)",
            "ArgM (manner)",
            "Scene of the Event",
        ]

    def test_figures_are_called_by_size_colour_and_kind(self):
        assert Figure(kind="dog", colour="red", size="small").text == "small red dog"
        assert Figure(kind="man", colour="red", size="small").text == "small man in red"

    def test_events_of_a_video_differ_and_captions_nearly_always(self):
        captions = []
        for seed in range(200):
            deeds = _deeds(random.Random(seed))
            fields = [
                (
                    d.verb.name,
                    d.agent.text,
                    d.patient and d.patient.text,
                    d.direction,
                    d.manner,
                    d.scene,
                )
                for d in deeds
            ]
            assert len(set(fields)) == 5
            captions += fields
        assert len(set(captions)) > 0.97 * len(captions)

    def test_agents_act_and_things_do_not(self):
        for seed in range(100):
            for event in _deeds(random.Random(seed)):
                assert event.agent != event.patient
                assert event.verb.name == "fall" or event.agent.kind in ACTORS

    @pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda template: template.name)
    def test_each_word_is_one_token_and_a_caption_fits(self, annotations, template):
        tokenizer = _byte_tokenizer()

        def check(event: Event) -> int:
            caption = caption_event(event, template=template)
            words = caption.replace(",", " ,").replace("(", "( ").replace(")", " )").split()
            tokens = tokenizer(caption)["input_ids"]
            assert len(tokens) == len(words) + 2, caption
            return len(tokens)

        lengths = [
            check(event)
            for record in annotations.records
            for annotation in record.annotations
            for event in annotation.events
        ]
        assert 20 < max(lengths) < 77
