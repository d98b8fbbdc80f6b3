"""Compiles the hot path into wheels, where that is asked for and can be done."""

from __future__ import annotations

import os
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE, MODULE = "tracedtimeout/_core/_hot_c.c", "tracedtimeout._core._hot_c"


def asked(variable: str) -> bool:
    """True if an environment variable is set, and not to 0."""
    return os.environ.get(f"TRACEDTIMEOUT_{variable}", "0") not in {"", "0"}


class Extensions(BuildHookInterface):  # type: ignore[type-arg]  # its configuration is of no interest
    """`TRACEDTIMEOUT_EXTENSIONS=1` compiles where there is a compiler, and gives the pure wheel, in silence, where
    there is none; `TRACEDTIMEOUT_REQUIRE_EXTENSIONS=1` makes that an error; `TRACEDTIMEOUT_NO_EXTENSIONS=1` wins."""

    def wanted(self) -> bool:
        built = self.target_name == "wheel" and not sysconfig.get_config_var("Py_GIL_DISABLED")
        return built and not asked("NO_EXTENSIONS") and (asked("EXTENSIONS") or asked("REQUIRE_EXTENSIONS"))

    def dependencies(self) -> list[str]:
        return ["setuptools>=77"] if self.wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if not self.wanted():
            return
        try:
            built = compiled(Path(self.root))
        except (Exception, SystemExit):  # no compiler, no headers, no setuptools: the Python does it all
            if asked("REQUIRE_EXTENSIONS"):
                raise
            return
        build_data["pure_python"], build_data["infer_tag"] = False, True
        inside = Path(SOURCE).with_name(built.name)
        if version == "editable":  # imported from where the sources are
            (Path(self.root) / inside).unlink(missing_ok=True)  # a process may have it mapped
            (Path(self.root) / inside).write_bytes(built.read_bytes())
        else:
            build_data["force_include"][str(built)] = inside.as_posix()


def compiled(root: Path) -> Path:
    """The extension module, built in a directory of its own."""
    from setuptools import Distribution, Extension  # noqa: PLC0415  # there only where it was asked for
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415  # as above

    directory = tempfile.mkdtemp(prefix="tracedtimeout-")
    extension = Extension(MODULE, [str(root / SOURCE)])
    command = build_ext(Distribution({"name": "tracedtimeout", "ext_modules": [extension]}))
    command.build_lib, command.build_temp = directory, f"{directory}/temp"
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(MODULE))
