"""All rooms by their names."""

from __future__ import annotations

from .doors import DOORS
from .installing import INSTALLING
from .observers import CORE, LATE, OBSERVERS
from .trial import Room

ROOMS: dict[str, Room] = {"observers": OBSERVERS, "late": LATE, "core": CORE, "installing": INSTALLING, "doors": DOORS}
