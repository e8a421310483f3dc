"""Dense captions of the world's stories: what the annotator wrote, in the template's words."""

from __future__ import annotations

import random

from figclip.annotations.captions import TEMPLATES
from figclip.annotations.vidsitu import SCENE_ROLE
from figclip.miniworld.situations import sample_story
from figclip.miniworld.wording import annotate, dense_captions


def test_tells_what_the_annotator_wrote():
    story = sample_story(random.Random(1), held_out=None)
    roles = annotate(story, random.Random(2))
    captions = dense_captions(story, random.Random(2))
    for situation, args, caption in zip(story, roles, captions, strict=True):
        clauses = [f"In this photo, the action is {situation.verb}"]
        for name, text in args.items():
            if text == "-":
                continue
            if name == SCENE_ROLE:
                clauses.append(f"scene is {text}")
            else:
                slot, role = name[:4], name[6:-1]
                clauses.append(f"{'' if slot == 'ArgM' else 'the '}{role} is {text}")
        assert caption == ", ".join(clauses)


def test_template_is_heeded():
    rng = random.Random(1)
    stories = [sample_story(rng, held_out=None) for _ in range(5)]
    texts = [t for s in stories for t in dense_captions(s, rng, template=TEMPLATES["figclip_v1"])]
    assert any("and scene of the event is" in text for text in texts)
