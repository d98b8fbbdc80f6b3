"""A wheel holds the compiled hot path where one can be made."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

from tracedtimeout._core import _for_c

pytest.importorskip("hatchling")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module that hatchling loads, with no variable set."""
    for name in ("NO_EXTENSIONS", "REQUIRE_EXTENSIONS"):
        monkeypatch.delenv(f"TRACEDTIMEOUT_{name}", raising=False)
    spec = spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.modules.pop("hatch_build", None)


def empty() -> dict[str, Any]:
    return {"force_include": {}}


def hook_of(build: Any, target: str = "wheel") -> Any:
    return build.Extensions(str(ROOT), {}, None, None, "", target)


def test_no_compiler_is_no_error_and_costs_nothing(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is installed to build with, and the wheel is the pure one."""
    monkeypatch.setenv("CC", "/nowhere/cc")
    monkeypatch.setattr("os.name", "posix")
    hook, data = hook_of(build), empty()
    assert hook.dependencies() == []
    hook.initialize("standard", data)
    hook.finalize("standard", data, "")
    assert data == empty()


def test_a_compiler_that_fails_is_no_error(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel is the pure one; where the compiled one is required, the build fails."""

    def fails(root: Path, directory: str) -> Path:
        raise SystemExit

    monkeypatch.setattr(build, "serves", lambda: True)
    monkeypatch.setattr(build, "can_compile", lambda: True)
    monkeypatch.setattr(build, "compiled", fails)
    data = empty()
    hook_of(build).initialize("standard", data)
    assert data == empty()
    monkeypatch.setenv("TRACEDTIMEOUT_REQUIRE_EXTENSIONS", "1")
    with pytest.raises(SystemExit):
        hook_of(build).initialize("standard", data)


def test_a_compiler_makes_a_wheel_for_this_python(build: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Its tag is this Python's, and it holds the module beside the sources of the core."""

    def made(root: Path, directory: str) -> Path:
        return Path(directory, "_hot_c.so")

    monkeypatch.setattr(build, "serves", lambda: True)
    monkeypatch.setattr(build, "can_compile", lambda: True)
    monkeypatch.setattr(build, "compiled", made)
    hook, data = hook_of(build), empty()
    assert hook.dependencies() == ["setuptools>=77"]
    hook.initialize("standard", data)
    hook.finalize("standard", data, "")
    assert list(data.pop("force_include").values()) == ["tracedtimeout/_core/_hot_c.so"]
    assert data == {"pure_python": False, "infer_tag": True}


@pytest.mark.parametrize("required", ["0", "1"])
def test_who_asks_for_the_python_gets_it(build: Any, monkeypatch: pytest.MonkeyPatch, required: str) -> None:
    """Whatever else is set; and an sdist is never compiled."""
    monkeypatch.setenv("TRACEDTIMEOUT_REQUIRE_EXTENSIONS", required)
    monkeypatch.setattr(build, "can_compile", lambda: True)
    assert not hook_of(build, "sdist").wanted()
    monkeypatch.setenv("TRACEDTIMEOUT_NO_EXTENSIONS", "1")
    assert not hook_of(build).wanted()


def test_a_python_without_the_gil_gets_the_pure_wheel(build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would not load the other."""
    monkeypatch.setattr(build, "can_compile", lambda: True)
    monkeypatch.setattr(build.sysconfig, "get_config_var", {"Py_GIL_DISABLED": 1}.get)
    assert not hook_of(build).wanted()


def test_the_compiled_one_takes_what_stands_on_its_page() -> None:
    """`_for_c` has the names that the C asks it for, and no others."""
    source = (ROOT / "tracedtimeout" / "_core" / "_hot_c.c").read_text()
    asked = re.findall(r"X\((\w+)\)", source.partition("#define OBJECTS(X)")[2].partition("#define STRINGS")[0])
    assert sorted(asked) == sorted(_for_c.__all__)
