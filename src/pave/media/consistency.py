"""Whether poses, intrinsics and depth belong together: what one view sees must lie where its neighbour sees it.

A point that stands nearer to the neighbour than what the neighbour saw there is a contradiction; one that stands
farther away may be hidden, and tells nothing. A wrong convention of the poses contradicts itself nearly everywhere;
the right one is found by trying all four.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pave.errors import InputError
from pave.media.cameras import CONVENTIONS, Convention, Intrinsics, to_camera, to_world
from pave.media.rgbd import RgbdFrame

logger = logging.getLogger(__name__)

TOLERANCE = 0.05
"""Depths that differ by less than this part agree; sensors and poses of hand-held scans are no better."""

POINTS = 2000
"""Points of a view that its neighbour is asked about."""

ENOUGH = 50
"""Fewer comparisons than this say nothing."""

CLEARLY_BETTER = 0.2
CLEARLY_GOOD = 0.8


@dataclass(frozen=True)
class _View:
    depth_m: np.ndarray
    camera: Intrinsics
    pose: np.ndarray
    points: np.ndarray


class ConsistencyCheck:
    """Compares each measured view with the one before it; holds one view at a time.

    Args:
        convention: That the poses are read by.
    """

    def __init__(self, convention: Convention) -> None:
        self.convention = convention
        self._agreed: Counter[Convention] = Counter()
        self._contradicted: Counter[Convention] = Counter()
        self._last: _View | None = None
        self._pairs = 0

    def add(self, frame: RgbdFrame) -> None:
        """Compare a frame, next in time, with the one before; frames without depth are passed over."""
        if frame.depth_m is None or not frame.depth_m.any():
            return
        view = _view(frame.depth_m, frame.depth_camera, frame.stated_pose)
        if self._last is not None:
            self._pairs += 1
            for convention in CONVENTIONS:
                for one, other in ((self._last, view), (view, self._last)):
                    agreed, contradicted = _compare(one, other, convention)
                    self._agreed[convention] += agreed
                    self._contradicted[convention] += contradicted
        self._last = view

    def agreement(self, convention: Convention | None = None) -> float | None:
        """Return the part of the comparisons that agree, by default under the poses' own convention.

        ``None`` where the views share too little to tell.
        """
        convention = convention or self.convention
        compared = self._agreed[convention] + self._contradicted[convention]
        return self._agreed[convention] / compared if compared >= ENOUGH else None

    def require(self, path: Path, least: float) -> None:
        """Check that the views agree.

        Args:
            path: The recording, for error messages.
            least: Part of the comparisons that must agree.

        Raises:
            InputError: If fewer agree, or another convention fits clearly better; the message names it.
        """
        own = self.agreement()
        best, score = self._best_other()
        if own is None and self._pairs and score < CLEARLY_GOOD:
            logger.warning("%s: neighbouring views do not overlap; their poses cannot be checked", path)
        better = score >= CLEARLY_GOOD if own is None else score >= own + CLEARLY_BETTER
        if better or (own is not None and own < least):
            found = "not at all" if own is None else f"in {own:.0%} of the places compared"
            advice = (
                f"read as '{best}' they agree in {score:.0%}; state that"
                if better
                else "correct poses, intrinsics or depth_unit_m, or lower min_agreement if the scene moves"
            )
            raise InputError(f"{path}: depth of neighbouring views agrees {found} with '{self.convention}'; {advice}")

    def _best_other(self) -> tuple[Convention, float]:
        scores = {other: self.agreement(other) or 0.0 for other in CONVENTIONS if other != self.convention}
        best = max(scores, key=lambda other: scores[other])
        return best, scores[best]


def _view(depth_m: np.ndarray, camera: Intrinsics, pose: np.ndarray) -> _View:
    stride = max(1, round((depth_m.size / POINTS) ** 0.5))
    rows, columns = np.indices(depth_m.shape)[:, stride // 2 :: stride, stride // 2 :: stride]
    depth = depth_m[rows, columns]
    seen = depth > 0
    points = camera.rays(columns[seen], rows[seen]) * depth[seen, None].astype(np.float64)
    return _View(depth_m, camera, pose, points)


def _compare(one: _View, other: _View, convention: Convention) -> tuple[int, int]:
    """Return how many points of one view the other sees where they are, and how many it sees through."""
    world = to_world(one.points, convention.camera_to_world(one.pose))
    points = to_camera(world, convention.camera_to_world(other.pose))
    points = points[points[:, 2] > 1e-6]
    columns, rows = (np.rint(places) for places in other.camera.project(points))
    inside = (columns >= 0) & (columns < other.camera.width) & (rows >= 0) & (rows < other.camera.height)
    seen = other.depth_m[rows[inside].astype(int), columns[inside].astype(int)]
    nearer = (points[inside, 2] - seen)[seen > 0] / seen[seen > 0]
    return int((np.abs(nearer) <= TOLERANCE).sum()), int((nearer < -TOLERANCE).sum())
