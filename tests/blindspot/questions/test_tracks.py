"""Every track: answers follow from the scene, words are known, the text gives nothing away, ``blind`` is exact."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest

from pave.blindspot.layouts import draw
from pave.blindspot.observation import Sighting, distance, hidden, sightings
from pave.blindspot.questions import both, hear, views
from pave.blindspot.questions.question import NUMBERS, Question
from pave.blindspot.scene import COLOURS, SHAPES, SOUND_KINDS, Scene, Solid, SoundEvent
from pave.blindspot.tracks import TRACKS
from pave.blindspot.vocabulary import vocabulary, words

CHANNEL_TRACKS = [name for name, track in TRACKS.items() if track.channels]


def _asked(track: str, count: int, seed: int = 0) -> list[tuple[Scene, Question]]:
    pairs = []
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        scene = TRACKS[track].draw(rng)
        pairs += [(scene, question) for question in TRACKS[track].ask(scene, rng)]
    return pairs


@pytest.mark.parametrize("track", sorted(TRACKS))
def test_questions_and_answers_use_known_words_and_answers_are_short(track: str) -> None:
    known = vocabulary()
    for _, question in _asked(track, 100):
        assert set(words(question.text) + words(question.answer)) <= set(known)
        assert 1 <= len(words(question.answer)) <= 2
        assert question.text.endswith("?")
        assert 0 < question.blind <= 1


@pytest.mark.parametrize("track", sorted(TRACKS))
def test_the_same_stream_asks_the_same(track: str) -> None:
    assert _asked(track, 5) == _asked(track, 5)


@pytest.mark.parametrize("track", CHANNEL_TRACKS)
def test_the_text_alone_is_worth_no_more_than_blind(track: str) -> None:
    """A classifier that answers each text with its most frequent answer, learned and tested on different scenes."""
    learned: dict[str, Counter[str]] = defaultdict(Counter)
    for _, question in _asked(track, 1000, seed=1):
        learned[question.text][question.answer] += 1
    test = [question for _, question in _asked(track, 600, seed=2)]
    hits = [learned[q.text].most_common(1)[0][0] == q.answer if learned[q.text] else False for q in test]
    assert np.mean(hits) <= np.mean([q.blind for q in test]) + 0.03


@pytest.mark.parametrize("track", CHANNEL_TRACKS)
def test_options_in_the_text_are_right_as_often_whichever_comes_first(track: str) -> None:
    first = []
    for _, question in _asked(track, 600):
        options = question.text.rstrip("?").split(" the ")[-2:]
        if " or" in options[0]:
            first.append(options[0].startswith(question.answer))
    assert not first or np.mean(first) == pytest.approx(0.5, abs=0.06)


def _turn_of(scene: Scene, event: SoundEvent) -> str:
    return next(s.name for s in scene.solids if s.is_present(event.onset_sec))


def _true_answer_to_hear(scene: Scene, text: str) -> str:
    """Answer a question of ``hear`` by reading its text, apart from the code under test."""
    kinds = [kind for kind in words(text) if kind in SOUND_KINDS]
    onsets = {event.kind: event for event in scene.sounds}
    if len(kinds) == 2:
        return min(kinds, key=lambda kind: onsets[kind].onset_sec)
    if len(kinds) == 1:
        maker = _turn_of(scene, onsets[kinds[0]])
        return maker.split()[0] if "colour" in text else maker
    return next(event.kind for event in scene.sounds if _turn_of(scene, event) in text)


def test_answers_of_hear_are_true() -> None:
    for scene, question in _asked("hear", 300):
        assert question.answer == _true_answer_to_hear(scene, question.text)


def test_hear_is_blind_to_the_picture_and_to_a_bag_of_sounds() -> None:
    """Among scenes that look alike, each thing is as often the maker; sounds without times change nothing."""
    by_count: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for scene, question in _asked("hear", 1500):
        if question.form == "made":
            names = [s.solid.name for s in sightings(scene)]
            by_count[len(names)].append((names.index(question.answer), question.blind))
    for count, entries in by_count.items():
        shares = np.bincount([index for index, _ in entries], minlength=count) / len(entries)
        np.testing.assert_allclose(shares, 1 / count, atol=0.05)
        assert {blind for _, blind in entries} == {1 / count}


def test_exchanging_the_turns_of_two_sounds_exchanges_the_answers() -> None:
    for scene, question in _asked("hear", 200):
        if question.form != "first_sound":
            continue
        a, b = (event for event in scene.sounds if event.kind in words(question.text))
        swapped = {a.kind: replace(a, onset_sec=b.onset_sec), b.kind: replace(b, onset_sec=a.onset_sec)}
        other = replace(scene, sounds=tuple(swapped.get(event.kind, event) for event in scene.sounds))
        assert sorted(e.kind for e in other.sounds) == sorted(e.kind for e in scene.sounds)
        assert _true_answer_to_hear(other, question.text) != question.answer


def test_sounded_is_asked_only_of_turns_with_one_sound() -> None:
    for scene, question in _asked("hear", 300):
        if question.form == "sounded":
            sighting = next(s for s in sightings(scene) if s.solid.name in question.text)
            assert [event.kind for event in hear.sounds_during(scene, sighting)] == [question.answer]


def test_answers_of_depth_follow_from_distance_and_size() -> None:
    for scene, question in _asked("depth", 200):
        things = {s.name: s for s in scene.solids if s.name in question.text}
        assert len(things) == 2
        if question.form == "bigger":
            assert things[question.answer].size == max(s.size for s in things.values())
        elif question.form == "nearer":
            assert things[question.answer] is min(things.values(), key=lambda s: distance(scene, s))
        else:
            named = sorted(things.values(), key=lambda s: question.text.index(s.name))
            nearer = distance(scene, named[0]) < distance(scene, named[1])
            assert question.answer == ("yes" if nearer else "no")


def test_answers_of_views_follow_from_what_is_hidden() -> None:
    for scene, question in _asked("views", 200):
        concealed = hidden(scene)
        if question.form == "hidden_count":
            assert question.answer == NUMBERS[len(concealed)]
        else:
            assert len(concealed) == 1
            assert question.answer in (concealed[0].name, concealed[0].colour)


def test_blind_of_views_leaves_out_the_colours_in_plain_view() -> None:
    for scene, question in _asked("views", 300):
        colours = {s.solid.colour for s in sightings(scene)}
        if question.form == "hidden_colour":
            assert question.answer not in colours
            assert question.blind == pytest.approx(1 / (len(COLOURS) - len(colours)))
        if question.form == "behind":
            assert question.blind == pytest.approx(1 / (len(COLOURS) - len(colours)) / len(SHAPES))


def test_answers_of_blink_follow_from_the_flashes() -> None:
    for scene, question in _asked("blink", 200):
        colours = [flash.colour for flash in sorted(scene.flashes, key=lambda flash: flash.onset_sec)]
        expected: dict[str, Callable[[], str]] = {
            "flash_count": lambda colours=colours: NUMBERS[len(colours)],
            "flash_colour": lambda colours=colours, q=question: colours[0] if "first" in q.text else colours[-1],
            "flash_order": lambda colours=colours, q=question: next(c for c in colours if f"the {c} one" in q.text),
        }
        assert question.answer == expected[question.form]()


def _true_answer_to_both(scene: Scene, text: str) -> str:
    """Answer a question about things that take turns behind a wall by reading its text."""
    kind = next((kind for kind in words(text) if kind in SOUND_KINDS), None)
    if kind is None:
        thing = next(s for s in scene.solids if s.name in text)
        return next(e.kind for e in scene.sounds if thing.is_present(e.onset_sec))
    maker = _turn_of(scene, next(event for event in scene.sounds if event.kind == kind))
    return maker.split()[0] if "colour" in text else maker


def test_answers_of_both_follow_from_the_hidden_turns() -> None:
    taught = [draw("hidden_turns", np.random.default_rng(seed)) for seed in range(50)]
    asked = [(scene, q) for k, scene in enumerate(taught) for q in both.ask(scene, np.random.default_rng(k))]
    assert {question.form for _, question in asked} == {"hidden_maker", "hidden_pair", "hidden_sound"}
    for scene, question in [*asked, *_asked("both", 200)]:
        assert question.answer == _true_answer_to_both(scene, question.text)


def test_both_asks_each_form_of_each_hidden_thing_once() -> None:
    for seed in range(50):
        rng = np.random.default_rng(seed)
        scene = TRACKS["both"].draw(rng)
        forms = Counter(question.form for question in both.ask(scene, rng))
        assert forms == dict.fromkeys(("made", "hidden_maker", "maker_colour"), len(hidden(scene)))


def test_either_channel_of_both_alone_leaves_every_thing_as_likely() -> None:
    """Sounds change turns where only the other cameras tell; things change turns where only the sound does."""
    for scene, question in _asked("both", 200):
        onsets = [event.onset_sec for event in scene.sounds]
        kinds = permutations(event.kind for event in scene.sounds)
        heard_otherwise = [replace(scene, sounds=tuple(map(SoundEvent, order, onsets))) for order in kinds]
        turns = permutations(solid.present_sec for solid in scene.solids)
        seen_otherwise = [
            replace(scene, solids=tuple(replace(s, present_sec=t) for s, t in zip(scene.solids, order, strict=True)))
            for order in turns
        ]
        for others in (heard_otherwise, seen_otherwise):
            answers = Counter(_true_answer_to_both(other, question.text) for other in others)
            assert len(answers) == len(scene.solids) and set(answers.values()) == {len(others) * question.blind}


def test_tracks_do_not_ask_about_scenes_of_others() -> None:
    rng = np.random.default_rng(0)
    together = TRACKS["depth"].draw(rng)
    assert hear.ask(together, rng) == views.ask(together, rng) == both.ask(together, rng) == []


def _asked_about(question: Question, seen: list[Sighting]) -> Solid:
    """The one thing in view that the text names, or that alone has the shape it names."""
    named = [s.solid for s in seen if s.solid.name in question.text]
    alike = [s.solid for s in seen if s.solid.shape in question.text]
    (solid,) = named or alike
    return solid


def test_answers_of_see_name_what_was_seen() -> None:
    order = {"first": 0, "last": -1}
    for scene, question in _asked("see", 300):
        seen = sightings(scene)
        names = [s.solid.name for s in seen]
        if question.form in order:
            assert question.answer == names[order[question.form]]
        elif question.form == "exists":
            assert (question.answer == "yes") == any(name in question.text for name in names)
        elif question.form == "what":
            assert [name for name in names if name in question.text] == [question.answer]
        elif question.form == "count":
            assert question.answer == NUMBERS[len(names)]
        elif question.form == "after":
            assert question.answer == names[names.index(_asked_about(question, seen).name) + 1]
        elif question.form == "place":
            assert {question.answer} == set(next(s for s in seen if s.solid == _asked_about(question, seen)).places)
        elif question.form == "motion":
            solid = _asked_about(question, seen)
            moved = solid.position(8.0)[0] - solid.position(0.0)[0]
            assert question.answer == ("right" if moved > 0 else "left")


def test_see_answers_are_balanced_within_a_form() -> None:
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for _, question in _asked("see", 1200):
        answers[question.form][question.answer] += 1
    for form in ("exists", "motion", "place"):
        total = answers[form].total()
        for share in answers[form].values():
            assert share / total == pytest.approx(1 / len(answers[form]), abs=0.06)
