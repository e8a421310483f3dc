"""Stage a situation at any moment: who stands where, in which pose, with which signs and ropes.

Each verb has a function from a moment to a stage. A stage holds what is in front of the scenery, no
pixels yet. Everything is staged as if the direction were right. Lengths are shares of the picture's
side; places are complex: to the right of the middle, and above the ground.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from figclip.miniworld.drawing import poses
from figclip.miniworld.drawing.actors import Pose, joints
from figclip.miniworld.situations import EVENT_S, Actor, Situation

_HEIGHTS = {"small": 0.32, "big": 0.43}
_PACES = {"slowly": 0.5, "quickly": 1.7, "happily": 1.0, "angrily": 1.0}
_MOODS = {"slowly": "sleepy", "quickly": "hasty", "happily": "happy", "angrily": "angry"}
# Poses repeat eight a cycle, so that sprites can be kept.
_STEPS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """An actor in the picture; turned, it looks against the direction.

    `place` is the spot below the torso, above the `ground` in a leap or on someone's hands.
    """

    actor: Actor
    pose: Pose
    mood: str
    place: complex = 0j
    ground: float = 0.0
    is_turned: bool = False

    @property
    def height(self) -> float:
        """Standing height."""
        return _HEIGHTS[self.actor.size]

    def point(self, joint: complex) -> complex:
        """Where a joint of the pose is in the picture."""
        across = -joint.real if self.is_turned else joint.real
        return self.place + self.height * complex(across, joint.imag)


@dataclass(frozen=True, slots=True)
class Sign:
    """A mark of `marks` with its middle and its side."""

    name: str
    place: complex
    side: float


@dataclass(frozen=True, slots=True)
class Rope:
    """A rope between two places."""

    start: complex
    end: complex


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """All that is in front of the scenery, in the order of painting; figures[0] is the agent."""

    figures: tuple[Figure, ...]
    behind: tuple[Sign | Rope, ...] = ()
    before: tuple[Sign | Rope, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """A situation at a moment; elapsed_s runs faster the quicker the manner."""

    situation: Situation
    phase: float

    @property
    def elapsed_s(self) -> float:
        """Time since the event began, at the manner's pace."""
        return EVENT_S * self.phase * _PACES[self.situation.manner]

    @property
    def mood(self) -> str:
        """The agent's, from the manner."""
        return _MOODS[self.situation.manner]

    def step(self, cycles_per_s: float) -> float:
        """Place in a cycle, in [0, 1), in `_STEPS` steps."""
        return math.floor(self.elapsed_s * cycles_per_s % 1 * _STEPS) / _STEPS

    def agent(self, pose: Pose, place: complex = 0j) -> Figure:
        """The agent in a pose."""
        return Figure(actor=self.situation.agent, pose=pose, mood=self.mood, place=place)

    def patient(self, pose: Pose, mood: str, *, is_turned: bool = False) -> Figure:
        """The patient in a pose; only for verbs that have one."""
        assert self.situation.patient is not None
        return Figure(actor=self.situation.patient, pose=pose, mood=mood, is_turned=is_turned)


def _run(beat: Beat) -> Stage:
    step = beat.step(1.4)
    lift = 0.025 * abs(math.cos(2 * math.pi * step))
    runner = beat.agent(poses.running(step), complex(0, lift))
    return Stage(figures=(runner,), behind=(_dust_behind(runner),))


def _jump(beat: Beat) -> Stage:
    # Taken in the middle of each step: on the ground it would look like a run.
    rise = math.sin(math.pi * (beat.step(0.8) + 0.5 / _STEPS)) ** 0.6
    jumper = beat.agent(poses.jumping(rise), complex(0, 0.22 * rise))
    trail = Sign("hop", complex(-0.03, 0.2 * rise - 0.05), 0.12)
    return Stage(figures=(jumper,), behind=(trail,))


def _sleep(beat: Beat) -> Stage:
    sleeper = replace(beat.agent(poses.SLEEPING), mood="asleep")
    head = sleeper.point(joints(sleeper.pose).head)
    drift = 0.03 * beat.step(0.5)
    snooze = Sign("snooze", head + complex(0.09, 0.13 + drift), 0.17)
    pillow = Sign("pillow", complex(head.real + 0.02, 0.03), 0.6 * sleeper.height)
    return Stage(figures=(sleeper,), behind=(pillow,), before=(snooze,))


def _dance(beat: Beat) -> Stage:
    step = beat.step(0.9)
    dancer = beat.agent(poses.dancing(step))
    bob = 0.02 * math.sin(4 * math.pi * step)
    high = 0.85 * dancer.height
    notes = (
        Sign("notes", complex(0.55 * dancer.height + 0.05, high + 0.04 + bob), 0.13),
        Sign("notes", complex(-0.5 * dancer.height - 0.09, 0.4 * high - bob), 0.1),
    )
    return Stage(figures=(dancer,), before=notes)


def _fall(beat: Beat) -> Stage:
    # The slow fall lands too, only later; the quick one at once.
    progress = min(1.0, beat.phase / (0.8 if beat.situation.manner == "slowly" else 0.6))
    mood = beat.mood if beat.mood in ("happy", "angry") else "scared"
    if progress < 1:
        # From as high as a big one's ears allow.
        height = (0.36 - 0.35 * beat.agent(poses.SPRAWLING).height) * (1 - progress**2)
        pose = poses.tumbling(math.floor(progress * _STEPS) / _STEPS)
        faller = replace(beat.agent(pose, complex(0, height + 0.02)), mood=mood)
        lines = Sign("drop", complex(0, height + 0.09 + 0.95 * faller.height), 0.14)
        return Stage(figures=(faller,), behind=(lines,))
    faller = replace(beat.agent(poses.SPRAWLING), mood="hurt")
    head = faller.point(joints(faller.pose).head)
    return Stage(
        figures=(faller,),
        behind=(
            Sign("dust", complex(0.5 * faller.height, 0.02), 0.13),
            Sign("dust", complex(-0.5 * faller.height, 0.02), 0.11),
        ),
        before=(Sign("dizzy", head + complex(0.06, 0.23 * faller.height + 0.02), 0.16),),
    )


def _chase(beat: Beat) -> Stage:
    step = beat.step(1.4)
    chaser = beat.agent(poses.catching(step))
    hand = chaser.point(joints(chaser.pose).near_arm[2])
    chased = beat.patient(poses.fleeing((step + 0.375) % 1), "scared")
    chased = replace(chased, place=complex(hand.real + 0.06 + 0.42 * chased.height, 0.012))
    head = chased.point(joints(chased.pose).head)
    sweat = Sign("sweat", head + complex(-0.25 * chased.height - 0.03, 0.05), 0.1)
    return Stage(
        figures=(chaser, chased),
        behind=(_dust_behind(chaser), _dust_behind(chased)),
        before=(sweat,),
    )


def _follow(beat: Beat) -> Stage:
    step = beat.step(0.9)
    follower = beat.agent(poses.walking(step))
    followed = beat.patient(poses.walking((step + 0.25) % 1), "calm")
    gap = 0.16 + 0.32 * (follower.height + followed.height)
    followed = replace(followed, place=complex(gap, 0))
    prints = Sign("prints", complex(0.52 * gap, -0.012), 0.17)
    return Stage(figures=(follower, followed), behind=(prints,))


def _push(beat: Beat) -> Stage:
    pusher = beat.agent(poses.pushing(beat.step(0.8)))
    hand = pusher.point(joints(pusher.pose).near_arm[2])
    pushed = beat.patient(poses.SHOVED, "scared")
    pushed = replace(pushed, place=complex(hand.real + 0.27 * pushed.height, 0))
    foot = pushed.point(joints(pushed.pose).near_leg[2])
    dust = Sign("dust", complex(foot.real + 0.06, 0.012), 0.09)
    return Stage(figures=(pusher, pushed), behind=(dust,))


def _pull(beat: Beat) -> Stage:
    puller = beat.agent(poses.pulling(beat.step(0.8)))
    pulled = beat.patient(poses.DRAGGED, "scared")
    hand = puller.point(joints(puller.pose).near_arm[2])
    grip = pulled.point(joints(pulled.pose).near_arm[2])
    pulled = replace(pulled, place=complex(hand.real - 0.13 - grip.real, 0))
    grip = pulled.point(joints(pulled.pose).near_arm[2])
    foot = pulled.point(joints(pulled.pose).near_leg[2])
    dust = Sign("dust", complex(foot.real + 0.05, 0.012), 0.09)
    rope = Rope(grip - 0.02, hand + 0.01)
    return Stage(figures=(puller, pulled), behind=(dust,), before=(rope,))


def _carry(beat: Beat) -> Stage:
    # A little nearer to the viewer, which is lower, so that two big ones fit into the picture.
    low = -0.06
    carrier = beat.agent(poses.lifting(beat.step(0.9)), complex(0, low))
    carrier = replace(carrier, ground=low)
    body = joints(carrier.pose)
    hands = (body.near_arm[2] + body.far_arm[2]) / 2
    carried = beat.patient(poses.SITTING, "calm")
    carried = replace(carried, place=carrier.point(hands) - 0.02j, ground=low)
    return Stage(figures=(carrier, carried))


def _strike(beat: Beat) -> float:
    """How far a blow has gone: 0 drawn back, 1 landed; most of the time landed."""
    share = beat.step(0.75)
    return 0.0 if share < 0.125 else 0.5 if share < 0.25 else 1.0


def _kick(beat: Beat) -> Stage:
    strike = _strike(beat)
    kicker = beat.agent(poses.kicking(strike))
    # The other stands where the foot will be, whatever the moment.
    foot = kicker.point(joints(poses.kicking(1.0)).near_leg[2])
    kicked = beat.patient(poses.STANDING, "scared", is_turned=True)
    kicked = replace(kicked, place=complex(foot.real + 0.16 * kicked.height + 0.01, 0))
    if strike < 1:
        return Stage(figures=(kicker, kicked))
    flying = replace(kicked, pose=poses.KNOCKED, mood="hurt", place=kicked.place + 0.07j)
    star = Sign("star", foot + 0.03, 0.17)
    return Stage(figures=(kicker, flying), before=(star,))


def _hit(beat: Beat) -> Stage:
    strike = _strike(beat)
    hitter = beat.agent(poses.hitting(strike))
    tip = joints(poses.hitting(1.0)).stick_tip
    assert tip is not None
    end = hitter.point(tip)
    victim = beat.patient(poses.STANDING, "scared", is_turned=True)
    victim = replace(victim, place=complex(end.real + 0.1 * victim.height, 0))
    if strike < 1:
        return Stage(figures=(hitter, victim))
    victim = replace(victim, pose=poses.COWERING, mood="hurt")
    return Stage(figures=(hitter, victim), before=(Sign("star", end + 0.01j, 0.13),))


def _greet(beat: Beat) -> Stage:
    greeter = beat.agent(poses.waving(beat.step(1.0)))
    greeted = beat.patient(poses.STANDING, "calm", is_turned=True)
    gap = 0.16 + 0.3 * (greeter.height + greeted.height)
    greeted = replace(greeted, place=complex(gap, 0))
    hand = greeter.point(joints(greeter.pose).far_arm[2])
    signs = (
        Sign("waves", hand + 0.025 + 0.02j, 0.1),
        Sign("bubble", complex(0.32 * greeter.height + 0.05, 1.02 * greeter.height + 0.1), 0.15),
    )
    return Stage(figures=(greeter, greeted), before=signs)


def _dust_behind(figure: Figure) -> Sign:
    """A puff where a runner has been."""
    place = complex(figure.place.real - 0.5 * figure.height - 0.02, 0.02)
    return Sign("dust", place, 0.09)


_ENACTMENTS: dict[str, tuple[Callable[[Beat], Stage], float]] = {
    "walk": (lambda beat: Stage(figures=(beat.agent(poses.walking(beat.step(0.9))),)), 0.11),
    "run": (_run, 0.18),
    "jump": (_jump, 0.12),
    "crawl": (lambda beat: Stage(figures=(beat.agent(poses.crawling(beat.step(0.7))),)), 0.07),
    "sleep": (_sleep, 0.0),
    "sit": (lambda beat: Stage(figures=(beat.agent(poses.SITTING),)), 0.0),
    "dance": (_dance, 0.0),
    "fall": (_fall, 0.0),
    "chase": (_chase, 0.12),
    "follow": (_follow, 0.08),
    "push": (_push, 0.07),
    "pull": (_pull, 0.07),
    "carry": (_carry, 0.1),
    "kick": (_kick, 0.04),
    "hit": (_hit, 0.04),
    "greet": (_greet, 0.0),
}
"""Who stages a verb, and its speed: shares of the picture a second, at the pace 1."""

_SIGNS = {"slowly": "snail", "quickly": "bolt", "happily": "heart", "angrily": "vein"}


def stage(situation: Situation, phase: float) -> Stage:
    """Places everything for a moment, phase in [0, 1) of the event."""
    assert 0 <= phase < 1, phase
    beat = Beat(situation=situation, phase=phase)
    enact, speed = _ENACTMENTS[situation.verb]
    staged = enact(beat)
    lefts = [figure.place.real - 0.42 * figure.height for figure in staged.figures]
    rights = [figure.place.real + 0.42 * figure.height for figure in staged.figures]
    middle = (min(lefts) + max(rights)) / 2
    room = max(0.0, 0.46 - (max(rights) - min(lefts)) / 2)
    travel = min(speed * EVENT_S * _PACES[situation.manner], 2 * room)
    signed = replace(staged, before=(*staged.before, *_manner_signs(situation, staged, phase)))
    return _moved(signed, complex(travel * (phase - 0.5) - middle))


def _moved(staged: Stage, by: complex) -> Stage:
    """The same stage elsewhere."""

    def moved(thing: Sign | Rope) -> Sign | Rope:
        if isinstance(thing, Sign):
            return replace(thing, place=thing.place + by)
        return Rope(thing.start + by, thing.end + by)

    return Stage(
        figures=tuple(replace(figure, place=figure.place + by) for figure in staged.figures),
        behind=tuple(moved(thing) for thing in staged.behind),
        before=tuple(moved(thing) for thing in staged.before),
    )


def _manner_signs(situation: Situation, staged: Stage, phase: float) -> list[Sign | Rope]:
    """The agent's manner, behind its head; lines of speed behind whoever is last."""
    agent = staged.figures[0]
    head = agent.point(joints(agent.pose).head)
    place = head + complex(-0.28 * agent.height - 0.07, 0.2 * agent.height + 0.035)
    if situation.manner == "happily":
        place += 0.018j * math.sin(6 * math.pi * phase)
    if situation.manner == "angrily":
        place += 0.008 * math.cos(16 * math.pi * phase)
    signs: list[Sign | Rope] = [Sign(_SIGNS[situation.manner], place, 0.135)]
    if situation.manner == "quickly":
        last = min(staged.figures, key=lambda figure: figure.place.real)
        middle = joints(last.pose).hip
        back = last.point(middle) - 0.3 * last.height - 0.085
        signs.append(Sign("speed", back, 0.13))
    return signs
