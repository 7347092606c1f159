"""Fixtures that every floor may use; the real servers come from the test ground (`e2e/ground`)."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins: list[str] = []

settings.register_profile(
    "house", deadline=None
)  # speed is measured in bench/; a busy machine is no failure of the code
settings.load_profile("house")
