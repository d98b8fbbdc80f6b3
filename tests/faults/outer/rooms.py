"""All rooms by their names."""

from __future__ import annotations

from .observers import CORE, LATE, OBSERVERS
from .trial import Room

ROOMS: dict[str, Room] = {"observers": OBSERVERS, "late": LATE, "core": CORE}
