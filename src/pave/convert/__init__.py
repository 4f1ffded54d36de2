"""Checkpoints, features and annotations of the reference project, into this one and back."""
