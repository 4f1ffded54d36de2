"""Time stamps are matched to the nearest, or to none."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pave.media.text_tables import nearest_in_time

stamps = st.lists(st.integers(0, 1000), max_size=30).map(lambda values: np.sort(np.array(values, float)) / 10)


@settings(deadline=None, max_examples=40)
@given(stamps, stamps, st.integers(0, 50))
def test_the_nearest_stamp_within_the_gap(known, wanted, gap):
    found = nearest_in_time(known, wanted, gap / 10)
    for time, index in zip(wanted, found, strict=True):
        distances = np.abs(known - time)
        if index >= 0:
            assert distances[index] == distances.min()
        else:
            assert not len(known) or distances.min() > gap / 10
