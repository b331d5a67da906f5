"""Chance, all of it: independent streams drawn from one seed, one for each purpose."""

import random


def stream(seed: int, purpose: str) -> random.Random:
    """A stream that no other purpose's draws disturb."""
    return random.Random(f"{seed}:{purpose}")  # noqa: S311 - play, not secrets
