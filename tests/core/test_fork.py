"""A forked child begins anew: no budget, no figures, no lock that is held; and it works."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support import figures
from tests.support.imports import PACKAGE
from tests.support.watching import at_once
from tracedtimeout import Timeout, timeout
from tracedtimeout._core._loop import state_of, states
from tracedtimeout._core.figures import _metrics, _process
from tracedtimeout.testing import VirtualClockLoop


@pytest.mark.slow
def test_a_forked_child_begins_anew() -> None:
    """It inherits no deadline, has counted nothing, waits for no lock of the parent's, leaves in silence what was
    entered before the fork, and has timeouts of its own. Real processes."""
    command = [sys.executable, "-m", "tests.programs.forking"]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_child_has_nothing_of_its_parents_loops() -> None:
    """Their states are none of its own, no exit takes the short way there, and nothing is counted. (A real fork.)"""

    async def main() -> None:
        async with timeout(1.0, name="parent"):
            pass

    _process.count(_metrics.REJECTIONS, ("parent", "budget", "code"))
    loop = VirtualClockLoop()
    loop.run_until_complete(main())
    state = state_of(loop)
    moved = state.stamp.moved
    child = os.fork()
    if child == 0:
        right = [state.forked, state.stamp.moved is not moved, not hasattr(loop, "_tracedtimeout"), not states()]
        os._exit(0 if all(right) and _process.snapshot() == {} and not _process._reading else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (state.forked, state_of(loop), figures("parent")["duration"]) == (False, state, {"completed": 1})
    loop.close()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_what_was_entered_before_is_left_once_in_the_child() -> None:
    """With nothing raised; the second exit is an error there too. (A real fork.)"""

    loop = VirtualClockLoop()

    async def enter() -> Timeout:
        return await timeout(1.0).__aenter__()

    entered = loop.run_until_complete(enter())
    child = os.fork()
    if child == 0:
        try:
            at_once(entered.__aexit__(ValueError, ValueError(), None))
            state = repr(entered)
            with pytest.raises(AssertionError, match="a Timeout that is finished cannot be left"):
                at_once(entered.__aexit__(ValueError, ValueError(), None))
            os._exit(0 if state == "<Timeout [finished]>" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    at_once(entered.__aexit__(ValueError, ValueError(), None))
    loop.close()
