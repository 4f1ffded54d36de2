"""Cells of the behaviour suite in which stock transformers itself fails, and how; every other cell passes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Why a behaviour cannot be had of a family.

    Args:
        stock: What stock transformers fails at with plain pixels: a field of :class:`tests.families.subject.Stock`.
        why: How it fails, in the release that the suite ran with.
    """

    stock: str
    why: str


_GLM_BEAMS = Reason("beams", "its beam search looks for `video_token_id`, but placeholders carry `image_token_id`")
_NEMOTRON = "its `forward` joins a list, but its own video path returns one tensor; through the seam it answers"

MISSING: dict[tuple[str, str], Reason] = {
    ("ernie4_5_vl_moe", "cache"): Reason(
        "uncached", "without a cache, `moe_mm_token_type_ids` do not grow as it writes"
    ),
    ("glm46v", "beams"): _GLM_BEAMS,
    ("glm4v", "beams"): _GLM_BEAMS,
    ("glm4v_moe", "beams"): _GLM_BEAMS,
    ("nemotron_h_omni", "untrained"): Reason("forward", _NEMOTRON),
    ("nemotron_h_omni", "absent"): Reason("forward", _NEMOTRON),
    ("nemotron_h_omni", "off"): Reason("forward", _NEMOTRON),
    ("nemotron_h_omni", "beams"): Reason(
        "beams", "its `forward` fails as above, and beam search looks for `video_token_id`, as with GLM"
    ),
}
"""Family and behaviour to the reason."""
