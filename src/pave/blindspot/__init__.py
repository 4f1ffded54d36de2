"""The embedded world: short films of simple solids, with sounds, hidden things and flashes, whose answers lie in what
a frame-sampled video cannot show; and a tiny Video LLM trained on what it can."""

from __future__ import annotations
