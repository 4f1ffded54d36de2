"""Where the cameras stand, and where they look."""

from __future__ import annotations

import numpy as np

from pave.blindspot.scene import Camera, Vector, rounded

_LOOK_AT: Vector = (0.0, 0.0, 0.85)
_FIELD_OF_VIEW_DEG = 38.0
EYE: Vector = (0.0, -6.6, 3.0)
_OTHER_EYES: dict[str, Vector] = {
    "from left": (-5.6, -0.9, 2.9),
    "from right": (5.6, -0.9, 2.9),
    "from behind": (0.0, 6.4, 3.2),
    "from above": (0.0, -2.2, 6.0),
}
_OTHER_LOOK_AT: Vector = (0.0, 0.4, 0.6)


def other_cameras(rng: np.random.Generator) -> tuple[Camera, ...]:
    """Return the cameras beside the main one: from left, right, behind and above, each shifted a little."""
    return tuple(
        Camera(name, _shifted(eye, rng), _OTHER_LOOK_AT, _FIELD_OF_VIEW_DEG) for name, eye in _OTHER_EYES.items()
    )


def main_camera(rng: np.random.Generator) -> Camera:
    """Return the camera of the film, shifted a little."""
    return Camera("main", _shifted(EYE, rng), _LOOK_AT, _FIELD_OF_VIEW_DEG)


def _shifted(eye: Vector, rng: np.random.Generator) -> Vector:
    x, y, z = (float(v) for v in np.asarray(eye) + rng.uniform(-0.1, 0.1, 3))
    return rounded((x, y, z))
