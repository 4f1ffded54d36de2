"""Results as one HTML page that opens from a file: scores, intervals, probes, and answers with what they are about."""

from __future__ import annotations
