"""A kit for tests of code that has timeouts: virtual time, what opened and closed, expiries on demand, headers.

    from tracedtimeout.testing import run

    def test_a_slow_bank_is_given_up_after_two_seconds():
        async def main():
            with pytest.raises(TimeoutError):
                await charge(bank=SlowBank(seconds=300))
            return asyncio.get_running_loop().time()

        assert run(main()) == 2.0

pytest has a plugin of ours, for pytest-asyncio and for the plugin of anyio:

    @pytest.mark.virtual_time
    async def test_a_slow_bank_is_given_up_after_two_seconds(timeouts):
        with pytest.raises(TimeoutError):
            await charge(bank=SlowBank(seconds=300))
        assert timeouts.outcomes("charge") == ["expired"]

With `unittest`, set ``loop_factory = VirtualClockLoop`` on an `IsolatedAsyncioTestCase` (Python 3.13).
"""

from __future__ import annotations

from ._clock import VirtualClockLoop, run
from ._expire import expire
from ._headers import deadline_headers, granted
from ._telemetry import no_telemetry
from ._timeouts import Closed, Timeouts, recorded

__all__ = [
    "Closed",
    "Timeouts",
    "VirtualClockLoop",
    "deadline_headers",
    "expire",
    "granted",
    "no_telemetry",
    "recorded",
    "run",
]
