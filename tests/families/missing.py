"""Cells of the behaviour suite in which stock transformers itself fails, and how; every other cell passes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """Why a behaviour cannot be had of a family.

    Args:
        stock: What stock transformers fails at with plain pixels: a field of :class:`tests.families.subject.Stock`.
        why: How it fails.
    """

    stock: str
    why: str


SEEN_IN = "5.24.0"
"""Release of transformers in which they were last seen to fail; the suite fails in the first in which they do not."""

_GLM_BEAMS = Reason("beams", "its beam search looks for `video_token_id`, but placeholders carry `image_token_id`")

MISSING: dict[tuple[str, str], Reason] = {
    ("ernie4_5_vl_moe", "cache"): Reason(
        "uncached", "without a cache, `moe_mm_token_type_ids` do not grow as it writes"
    ),
    ("glm46v", "beams"): _GLM_BEAMS,
    ("glm4v", "beams"): _GLM_BEAMS,
    ("glm4v_moe", "beams"): _GLM_BEAMS,
}
"""Family and behaviour to the reason."""
