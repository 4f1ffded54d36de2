"""Stills: labels that say what stands in each half, and worker processes that change nothing."""

from __future__ import annotations

import numpy as np
import pytest

from pave.blindspot.scene import COLOURS
from pave.blindspot.stills import LABEL_SIZES, UNKNOWN, make_stills


def test_pictures_and_labels_fit_each_other() -> None:
    stills = make_stills(300, 1, 32, workers=1)
    assert stills.pictures.shape == (300, 32, 32, 3)
    assert stills.pictures.dtype == np.uint8
    assert stills.labels.shape == (300, len(LABEL_SIZES))
    for column, size in enumerate(LABEL_SIZES):
        known = set(stills.labels[:, column].tolist()) - {UNKNOWN}
        # No flash is black, which comes last.
        assert known == set(range(size if column < len(LABEL_SIZES) - 1 else size - 1))
    np.testing.assert_array_equal(stills.labels[:, 0:4:2] > 0, stills.labels[:, 1:4:2] > 0)


def test_a_half_that_holds_a_red_thing_is_redder_than_one_that_holds_a_blue() -> None:
    stills = make_stills(600, 2, 32, workers=1)
    unlit = stills.labels[:, -1] == 0
    redness = stills.pictures[..., 0].astype(int) - stills.pictures[..., 2]
    means = {}
    for colour in ("red", "blue"):
        wanted = list(COLOURS).index(colour) + 1
        halves = [
            redness[unlit & (stills.labels[:, 2 * k] == wanted)][:, :, edge : edge + 16].max(axis=(1, 2))
            for k, edge in enumerate((0, 16))
        ]
        means[colour] = np.concatenate(halves).mean()
    assert means["red"] > means["blue"] + 60


@pytest.mark.dist
def test_the_number_of_workers_changes_nothing() -> None:
    first, second = (make_stills(20, 3, 32, workers) for workers in (1, 2))
    np.testing.assert_array_equal(first.pictures, second.pictures)
    np.testing.assert_array_equal(first.labels, second.labels)
