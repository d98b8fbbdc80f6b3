"""All rooms by their names."""

from __future__ import annotations

from .aiohttp_doors import AIOHTTP
from .doors import DOORS
from .grpc_doors import GRPC
from .installing import INSTALLING
from .observers import CORE, LATE, OBSERVERS
from .trial import Room

ROOMS: dict[str, Room] = {
    "observers": OBSERVERS,
    "late": LATE,
    "core": CORE,
    "installing": INSTALLING,
    "doors": DOORS,
    "aiohttp": AIOHTTP,
    "grpc": GRPC,
}
