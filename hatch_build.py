"""Compiles the hot path into wheels, where that can be done."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
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
    """Compiles where there is a C compiler with Python's headers.

    Where there is none the wheel is the pure one, in silence; `TRACEDTIMEOUT_REQUIRE_EXTENSIONS=1` makes that an error.
    `TRACEDTIMEOUT_NO_EXTENSIONS=1` asks for the pure one, and wins.
    """

    _directory = ""

    def wanted(self) -> bool:
        if self.target_name != "wheel" or asked("NO_EXTENSIONS"):
            return False
        return asked("REQUIRE_EXTENSIONS") or (serves() and can_compile())

    def dependencies(self) -> list[str]:
        return ["setuptools>=77"] if self.wanted() else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        beside = (Path(self.root) / SOURCE).with_name("_hot_c" + (sysconfig.get_config_var("EXT_SUFFIX") or ".so"))
        if version == "editable":  # imported from where the sources are
            beside.unlink(missing_ok=True)  # of sources that were others; a process may have it mapped
        if not self.wanted():
            return
        self._directory = tempfile.mkdtemp(prefix="tracedtimeout-")
        try:
            built = compiled(Path(self.root), self._directory)
        except (Exception, SystemExit):  # no setuptools, a compiler that fails: the Python does it all
            if asked("REQUIRE_EXTENSIONS"):
                raise
            return
        build_data["pure_python"], build_data["infer_tag"] = False, True
        if version == "editable":
            beside.write_bytes(built.read_bytes())
        else:
            build_data["force_include"][str(built)] = Path(SOURCE).with_name(built.name).as_posix()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self._directory:
            shutil.rmtree(self._directory, ignore_errors=True)


def serves() -> bool:
    """True if this Python would load the compiled hot path: CPython, with the GIL."""
    return sys.implementation.name == "cpython" and not sysconfig.get_config_var("Py_GIL_DISABLED")


def can_compile() -> bool:
    """False if a compiler or Python's headers are known to be missing: nothing is installed in order to find out."""
    if os.name != "posix":
        return True  # setuptools looks for one
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    return shutil.which(compiler) is not None and Path(sysconfig.get_path("include"), "Python.h").exists()


def compiled(root: Path, directory: str) -> Path:
    """The extension module, built in a directory of its own."""
    from setuptools import Distribution, Extension  # noqa: PLC0415  # there only where it was asked for
    from setuptools.command.build_ext import build_ext  # noqa: PLC0415  # as above

    extension = Extension(MODULE, [str(root / SOURCE)])
    command = build_ext(Distribution({"name": "tracedtimeout", "ext_modules": [extension]}))
    command.build_lib, command.build_temp = directory, f"{directory}/temp"
    command.ensure_finalized()
    command.run()
    return Path(command.get_ext_fullpath(MODULE))
