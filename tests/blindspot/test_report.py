"""The demonstration's page stands alone, says what is in the report, and marks nothing up that was only text."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from pave.blindspot.report import Chapter, Report, Score, render_report
from pave.blindspot.report_film import Answer, Film, Sound, Strip

VOID = {"meta", "img", "br", "link", "line"}


class Checker(HTMLParser):
    """Collects links and checks that every element is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.counts: dict[str, int] = {}
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "poster")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.counts[tag] = self.counts.get(tag, 0) + 1

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def film(attention: bool = True) -> Film:
    rng = np.random.default_rng(0)
    weights = np.kron(np.eye(4), np.full((1, 3), 1 / 3))
    return Film(
        file=b"not really a film",
        duration_sec=4.0,
        pictures=rng.integers(0, 255, (4, 24, 32, 3), dtype=np.uint8),
        times_sec=np.arange(4) + 0.5,
        sound=Sound((rng.standard_normal(32_000) * 0.1).astype(np.float32), 8000, [(0.7, "bell"), (2.4, "drum")]),
        strips=[],
        attention=weights if attention else None,
        side_times_sec=np.arange(12) / 3 + 1 / 6 if attention else None,
        answers=[Answer("Which <b>thing</b> made the bell?", "red cube", "blue ring", False, "red cube", True)],
    )


def report(films: list[Film], chance: float | None = 0.336, tracks: int = 1) -> Report:
    scores = [
        Score("base", "blindspot", 0.35, (0.29, 0.41), {"made": 0.35}),
        Score("patched", "hear", 0.945, (0.91, 0.975), {"made": 0.945}),
    ]
    chapters = [
        Chapter(track, f"{track} things", "<hears> nothing", films, scores, chance, 200)
        for track in ("hear", "depth")[:tracks]
    ]
    return Report(chapters, 7, "pave demo --seed 7", {"torch": "2.0"})


def checked(page: str) -> Checker:
    checker = Checker()
    checker.feed(page)
    assert checker.open == []
    return checker


def test_stands_alone() -> None:
    page = render_report(report([film(), film()]))
    checker = checked(page)
    assert len(checker.links) == 2 * (2 + 4)
    assert all(link.startswith("data:") for link in checker.links)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert checker.counts["script"] == 1


def test_says_what_was_found() -> None:
    text = " ".join(checked(render_report(report([film()]))).texts)
    for words in ("200 fresh questions", "35.0", "94.5", "33.6", "pave demo --seed 7", "bell", "drum", "red cube"):
        assert words in text


def test_other_pictures_stand_in_strips_of_their_own() -> None:
    quiet = replace(
        film(), sound=None, strips=[Strip("from <left>", film().pictures), Strip("near", film().pictures[:1])]
    )
    page = render_report(report([quiet]))
    checker = checked(page)
    assert len(checker.links) == 2 + 4 + 4 + 1
    assert {"from <left>", "near"} <= set(checker.texts)
    assert "what sounds" not in page and "<polygon" not in page


def test_several_tracks_are_summed_up_in_one_table() -> None:
    one, two = (checked(render_report(report([film()], tracks=tracks))) for tracks in (1, 2))
    assert one.counts["table"] + one.counts["table"] + 1 == two.counts["table"]
    assert "questions about" in two.texts and "questions about" not in one.texts
    assert {"hear things", "depth things"} <= set(two.texts)


def test_texts_are_not_markup() -> None:
    checker = checked(render_report(report([film()])))
    assert "Which <b>thing</b> made the bell?" in checker.texts


def test_one_cell_for_each_pair_that_attends_at_its_place_in_time() -> None:
    page = render_report(report([film()]))
    cells = re.findall(r'<rect x="([\d.]+)" y="(\d+)" width="([\d.]+)"', page)
    assert len(cells) == 12
    # 12 side steps share 4 s equally; a frame sees three of them.
    assert [float(left) for left, _, _ in cells] == pytest.approx([1000 * step / 12 for step in range(12)], abs=0.06)
    assert [int(top) for _, top, _ in cells] == [13 * (step // 3) + 1 for step in range(12)]


def test_without_attention_or_chance() -> None:
    page = render_report(report([film(attention=False)], chance=None))
    checked(page)
    assert "<rect" not in page and "what the patch reads" not in page and "dashed line" not in page


def test_silence_and_short_sound() -> None:
    quiet = replace(film(), sound=Sound(np.zeros(100, np.float32), 8000, []))
    page = render_report(report([quiet]))
    assert re.search(r'<polygon points="[\d., ]+"', page)
