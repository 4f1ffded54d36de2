"""What a person would make of a picture: where things of a colour are, told from floor, sky and walls."""

from __future__ import annotations

import numpy as np

from pave.blindspot.scene import COLOURS

CHROMATIC = ("red", "green", "blue", "yellow", "purple", "cyan")
LEAST_SHADE = 0.45
"""No surface is darker than half of its colour; the rest is room for compression."""
PURE = 0.975
"""Least cosine between a pixel and the colour that it is taken for."""


def exactly(picture: np.ndarray, colour: str) -> np.ndarray:
    """Pixels (H,W) of things of that colour, in a picture as it was drawn: shading only ever makes them darker."""
    own, values = np.array(COLOURS[colour], float), picture.astype(float)
    shade = values @ own / (own @ own)
    return (np.abs(values - shade[..., None] * own).max(-1) < 1.5) & (shade > LEAST_SHADE)


def where(picture: np.ndarray, colour: str) -> np.ndarray:
    """Pixels (H,W) of things of that colour, in a picture that may have been compressed."""
    values = picture.astype(float)
    chroma = values.max(-1) - values.min(-1)
    if colour == "black":
        return values.max(-1) < 40
    if colour == "white":
        # Only where it is well lit: in shadow it is as grey as the floor.
        return (np.abs(values[..., 0] - values[..., 2]) < 12) & (values.min(-1) > 186)
    named = np.array([COLOURS[name] for name in CHROMATIC], float)
    closeness = (
        values @ named.T / np.linalg.norm(named, axis=1) / np.maximum(np.linalg.norm(values, axis=-1), 1)[..., None]
    )
    enough = chroma > LEAST_SHADE * (max(COLOURS[colour]) - min(COLOURS[colour]))
    # A blend of a thing and what is behind it has a hue between theirs.
    enough &= closeness.max(-1) > PURE
    return enough & (closeness.argmax(-1) == CHROMATIC.index(colour))


def colours_in(picture: np.ndarray, least_pixels: int) -> set[str]:
    """Colours of the things that a picture shows."""
    return {colour for colour in COLOURS if where(picture, colour).sum() >= least_pixels}
