"""Families whose inputs do not say where one video ends and the next begins: frames one after the other."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

from torch import Tensor

from pave.bases.family import Family
from pave.bases.layout import VideoShape, fill
from pave.bases.times import mean_of_frames
from pave.errors import InputError
from pave.types import VideoTokens, check_times


@dataclass(frozen=True)
class Step:
    """One step as the inputs tell it.

    Args:
        frames: Frames that it merges.
        grid: Rows and columns of its tokens.
    """

    frames: int
    grid: tuple[int, int]


class UndividedFamily(Family):
    """One entry a step. The times of the frames tell which steps are a video's; without them, a row has one video."""

    entries = "step"
    appends = True

    @abstractmethod
    def steps(self, inputs: Mapping[str, Any]) -> list[Step]:
        """Return every step of the batch, in order."""

    def shapes(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None = None) -> list[VideoShape]:
        return [(len(video), video[0].grid) for video in self.divided(inputs, times_sec)]

    def divided(self, inputs: Mapping[str, Any], times_sec: Sequence[Any] | None) -> list[list[Step]]:
        """Return the steps of each video.

        Raises:
            InputError: If neither the times nor the placeholders tell the videos apart, or steps differ in size.
        """
        steps = self.steps(inputs)
        if times_sec is not None:
            videos = self._by_times(steps, [len(times) for times in times_sec])
        elif inputs.get("input_ids") is not None:
            videos = self._by_rows(steps, inputs)
        else:
            videos = [steps]
        for index, video in enumerate(videos):
            if len({step.grid for step in video}) > 1:
                raise InputError(f"frames of video {index} differ in size; give each video frames of one size")
        return videos

    def _by_times(self, steps: Sequence[Step], counts: Sequence[int]) -> list[list[Step]]:
        """Cut by the number of frames, or else of steps, of each video."""
        numbers = _numbers([step.frames for step in steps], counts) or _numbers([1] * len(steps), counts)
        if numbers is None:
            raise InputError(
                f"video_times_sec has the times of {list(counts)} frames, but the inputs hold {len(steps)} steps of "
                f"{sum(step.frames for step in steps)} frames in all; {self.hint}"
            )
        ends = list(accumulate(numbers))
        return [list(steps[end - number : end]) for number, end in zip(numbers, ends, strict=True)]

    hint = "give one time a frame, and an image beside videos as a video of one frame"
    """What to do where times and frames do not fit."""

    def _by_rows(self, steps: Sequence[Step], inputs: Mapping[str, Any]) -> list[list[Step]]:
        room = self.places(inputs["input_ids"], inputs).sum(dim=1).tolist()
        rows = fill(room, [step.grid[0] * step.grid[1] for step in steps])
        if rows is None:
            raise InputError(
                f"input_ids hold {room} video placeholders a row, which {len(steps)} steps of the video do not fill; "
                "make the inputs with this base's processor"
            )
        return [[step for step, row in zip(steps, rows, strict=True) if row == own] for own in sorted(set(rows))]

    def timed(
        self, videos: Sequence[VideoTokens], inputs: Mapping[str, Any], times: Sequence[Tensor]
    ) -> list[VideoTokens]:
        timed = []
        for index, (video, steps, given) in enumerate(zip(videos, self.divided(inputs, times), times, strict=True)):
            merged = mean_of_frames(given, [step.frames for step in steps])
            check_times(merged, len(steps), f"video_times_sec[{index}]")
            timed.append(replace(video, times_sec=merged))
        return timed


def _numbers(sizes: Sequence[int], counts: Sequence[int]) -> list[int] | None:
    """Return how many steps of these sizes each video takes."""
    numbers, at = [], 0
    for count in counts:
        first, left = at, count
        while left > 0 and at < len(sizes):
            left, at = left - sizes[at], at + 1
        if count < 1 or left != 0:
            return None
        numbers.append(at - first)
    return numbers if at == len(sizes) else None
