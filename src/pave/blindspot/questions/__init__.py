"""Question templates, one module a track; each asks everything that a scene permits."""

from __future__ import annotations
