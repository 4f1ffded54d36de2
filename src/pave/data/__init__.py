"""From annotations to batches: samples in JSON lines, the base's own processor, collation, and a cache of frozen parts."""

from __future__ import annotations
