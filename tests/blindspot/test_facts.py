"""Facts: each is true of its scene, and only what is heard tells of sounds."""

from __future__ import annotations

import numpy as np
import pytest

from pave.blindspot import layouts
from pave.blindspot.facts import heard_facts, seen_facts
from pave.blindspot.observation import sightings
from pave.blindspot.scene import SOUND_KINDS, Scene
from pave.blindspot.vocabulary import vocabulary, words


@pytest.fixture(scope="module", params=["turns", "together", "moving"])
def scenes(request: pytest.FixtureRequest) -> list[Scene]:
    return [layouts.draw(request.param, np.random.default_rng([7, number])) for number in range(20)]


def test_looks_are_those_of_a_thing_that_is_meant_alone(scenes: list[Scene]) -> None:
    for scene in scenes:
        solids = [sighting.solid for sighting in sightings(scene)]
        facts = seen_facts(scene, np.random.default_rng(0))
        assert {"fact_shape"} <= {fact.form for fact in facts}
        for fact in facts:
            what, *of = fact.text.split()
            meant = [solid for solid in solids if set(of) <= {solid.colour, solid.shape}]
            assert len(meant) == 1
            if what in ("colour", "shape"):
                assert fact.answer == getattr(meant[0], what)


def test_what_came_after_is_the_next_thing() -> None:
    scene = layouts.draw("turns", np.random.default_rng(3))
    names = [sighting.solid.name for sighting in sightings(scene)]
    after = [fact.answer for fact in seen_facts(scene, np.random.default_rng(0)) if fact.form == "fact_after"]
    assert after == names[1:]


def test_every_sound_is_told_by_what_is_heard_alone(scenes: list[Scene]) -> None:
    for scene in scenes:
        seen, heard = seen_facts(scene, np.random.default_rng(0)), heard_facts(scene, np.random.default_rng(0))
        assert not any(set(words(f"{fact.text} {fact.answer}")) & set(SOUND_KINDS) for fact in seen)
        if scene.layout == "turns":
            made = [fact.text.split()[1] for fact in heard if fact.form == "fact_thing"]
            assert sorted(made) == sorted(event.kind for event in scene.sounds)
        else:
            assert heard == []


def test_of_two_sounds_the_first_is_the_one_that_began_earlier() -> None:
    for number in range(20):
        scene = layouts.draw("turns", np.random.default_rng([7, number]))
        began = {event.kind: event.onset_sec for event in scene.sounds}
        told = [fact for fact in heard_facts(scene, np.random.default_rng(0)) if fact.form == "fact_first"]
        assert len(told) == len(began) - 1
        for fact in told:
            assert fact.answer == min(fact.text.split()[1:], key=began.__getitem__)


def test_the_base_knows_every_word(scenes: list[Scene]) -> None:
    for scene in scenes:
        rng = np.random.default_rng(0)
        for fact in (*seen_facts(scene, rng), *heard_facts(scene, rng)):
            assert set(words(f"{fact.text} {fact.answer}")) <= set(vocabulary())
