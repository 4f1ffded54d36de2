"""The study: plans of trainings and evaluations in the embedded world, what they gave, and the page made of it."""

from __future__ import annotations
