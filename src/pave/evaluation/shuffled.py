"""A data set in which every clip is given another clip's side channels: the control that nothing can be heard in.

What a patch learns from it is what its questions give away without the channel. A probe must flag such a patch.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pave.data.jsonl import SAMPLES_FILE, read_samples
from pave.errors import InputError
from pave.evaluation.alterations import shuffled_donors
from pave.files import check_vacant, whole_folder
from pave.types import Sample


def write_shuffled(data: Path, out: Path, seed: int = 0, channels: Collection[str] = ()) -> int:
    """Write a data set anew, each clip with the side channels of another, as a probe shuffles them.

    Media stay where they are. Samples without side channels stay as they are.

    Args:
        data: The data set.
        out: A new or empty folder.
        seed: Of the shuffling.
        channels: Channels that samples may name beside the usual ones.

    Returns:
        How many samples have other side channels now.

    Raises:
        InputError: If the data set cannot be used or has no two clips with side channels, the seed is below 0, or the
            folder is not empty; nothing is written then.
    """
    check_vacant(out)
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be 0 or more")
    samples = read_samples(data, channels)
    donors = shuffled_donors(samples, seed)
    if not donors:
        raise InputError(f"{data}: holds no two clips with side channels; there is nothing to shuffle")
    lines = [json.dumps(_line(sample, donors.get(sample.id, sample)), ensure_ascii=False) for sample in samples]
    with whole_folder(out) as fresh:
        (fresh / SAMPLES_FILE).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return len(donors)


def _line(sample: Sample, donor: Sample) -> dict[str, Any]:
    side = {channel: None if path is None else str(path.absolute()) for channel, path in donor.side.items()}
    return {
        "id": sample.id,
        "video": None if sample.video is None else str(sample.video.absolute()),
        "side": side,
        "messages": list(sample.messages),
        **sample.extra,
    }
