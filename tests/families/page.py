"""Writes docs/bases.md: what the behaviour suite holds for each family.

The suite fails unless every cell that :mod:`tests.families.missing` does not list passes, and unless stock
transformers fails at those that it lists; so the page is the suite's result. ``python -m tests.families.page`` writes
it.
"""

from __future__ import annotations

import copy
from pathlib import Path

import transformers

from pave.bases import family_of
from pave.bases.facts import MINIMUM_TRANSFORMERS
from pave.bases.family import Family
from tests.families.behaviours import BEHAVIOURS
from tests.families.missing import MISSING, SEEN_IN
from tests.families.tiny import NAMES, facts

PAGE = Path(__file__).parents[2] / "docs" / "bases.md"

GRID = "h · w / 4"
TOKENS = {
    "gemma4": "real patches / pooling²",
    "instructblipvideo": "learned queries",
    "internvl": "(side / patch · ratio)²",
    "llava_next_video": "(side / patch / stride)²",
    "llava_onevision": "⌈side / patch / 2⌉², and one newline a video",
    "minicpmv4_6": "h · w / 16, or / 4",
    "molmo2": "rows · columns of pooled patches",
    "nemotron_h_omni": "h · w / 4",
    "perception_lm": "(side / patch / ratio)²",
    "smolvlm": "(side / patch / scale)²",
    "video_llama_3": "h · w / merge²",
    "video_llava": "(side / patch)², and one class token a frame",
}
"""Video tokens of a step S, where they are not those of most: h and w count patches, side counts pixels."""

INTRO = f"""# Bases

<!-- Written by `python -m tests.families.page`; a test fails if it is not up to date. -->

A patch attaches to any of these families of `transformers` (at least {MINIMUM_TRANSFORMERS}), by the `model_type` of
the base that you already run. Each is tested with tiny random models of its own architecture and two trained
patches: a channel of one token a step, and a dense one.

| model type | class | frames a step | video tokens a step | queries | missing |
|---|---|---|---|---|---|
"""

MEANING = """
Released weights were not tested: no model hub was at hand. LLaVA-OneVision has a second layout, `grid`, with a newline
after each row of a frame, in which the paper's checkpoints were trained. Nemotron-H wants `transformers` 5.24; before,
its own class fails at videos.

`h` and `w` count the patches of a frame, `side` its pixels. `vision` queries are features from before the projector,
at the places of the video tokens; `projected` queries are the video tokens themselves.

## What is tested

"""

MISSING_HEADING = f"""
## What is missing, and why

In these cells stock `transformers` (up to {SEEN_IN}) fails with plain pixels, without any patch; the suite checks that
it still does.

"""

OTHERS = """
## Times

Give `video_times_sec` the seconds of each video's sampled frames, or the metadata that the base's own processor
returns with `return_metadata=True`. Frames that a base merges into one step get their mean time. No rate is ever
assumed: without times, a patch that aligns by time refuses the video.

The inputs of InternVL, SmolVLM, MiniCPM-V and Kimi do not say where one video ends and the next begins. There the
times tell, one a frame; without them each sample has one video. An image beside videos is a video of one frame.

LLaVA-OneVision, LLaVA-NeXT-Video, Video-LLaVA, Perception LM, InstructBLIP-Video and Nemotron-H take as many frames in
each video of a call. Give their pixels as a list, one entry a video, where the counts differ: they are encoded one by
one.

## Several videos in a batch

`PaveProcessor` and its collator put videos together as each family wants them: MiniCPM-V's strips side by side,
Molmo 2's patch indices counted on, SmolVLM's shorter videos filled up with frames that it drops, lists of pixels where
frame counts differ. Each is tested against the samples one by one. What a base cannot take in one batch is refused
with what to do.

## Other bases

A base without a file here is recognised from its call where that is safe: if its video path takes patches and
`video_grid_thw`, or nothing but frames (B,F,3,H,W) of which each gives a square of tokens. Its patches ask with
`projected` queries. Any other is refused. To support one, register a family, under its `model_type`:

```python
from pave.bases import registry
from pave.bases.grid import GridFamily


class Mine(GridFamily):
    beside = ("video_grid_thw", "mm_token_type_ids")


registry.register("mine", Mine)
```

A package does the same with an entry point of the group `pave.bases`:

```toml
[project.entry-points."pave.bases"]
mine = "my_package.family:Mine"
```

`pave.bases.facts.Facts` lists what a family may say, and `pave.bases.family.Family` what it can do where data are not
enough. The base's `forward` must take `mm_encoder_outputs`.
"""


def render() -> str:
    """Return the page."""
    lines = [INTRO]
    for name in NAMES:
        lines.append(_row(name))
    lines.append(MEANING)
    for name, behaviour in BEHAVIOURS.items():
        lines.append(f"- **{name}**: {' '.join((behaviour.__doc__ or '').split())}\n")
    lines.append(MISSING_HEADING)
    for (name, behaviour), reason in MISSING.items():
        lines.append(f"- {_model_type(name)}, **{behaviour}**: {reason.why}.\n")
    lines.append(OTHERS)
    return "".join(lines)


def _family(name: str) -> Family:
    recorded = facts(name)
    return family_of(getattr(transformers, recorded["config_class"])(**copy.deepcopy(recorded["config"])))


def _model_type(name: str) -> str:
    return f"`{_family(name).config.model_type}`"


def _row(name: str) -> str:
    family = _family(name)
    queries = "vision, projected" if family.vision_dim else "projected"
    missing = ", ".join(behaviour for other, behaviour in MISSING if other == name)
    frames = "a chunk's" if name == "kimi_k25" else str(family.frames_per_step)
    tokens = TOKENS.get(name, GRID)
    return f"| {_model_type(name)} | `{facts(name)['model_class']}` | {frames} | {tokens} | {queries} | {missing} |\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
