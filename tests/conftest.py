"""Fixtures that every floor may use; the real servers come from the test ground (`e2e/ground`)."""

from __future__ import annotations

pytest_plugins: list[str] = []
