"""From annotations to batches: JSON lines, the base's own processor, collation, a cache of what is frozen."""

from __future__ import annotations
