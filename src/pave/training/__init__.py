"""Training of patches and LoRAs on ``transformers.Trainer``; the base stays as it is."""

from __future__ import annotations
