"""The wire formats: strict to read, never longer than what was written."""

from __future__ import annotations

import os
import random
import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracedtimeout.propagation import (
    CONNECT_TIMEOUT,
    DEADLINE_BUDGET,
    ENVOY_TIMEOUT,
    GRPC_TIMEOUT,
    HEADERS,
    decode,
    encode,
)
from tracedtimeout.propagation._wire import MOST_NS, Parsed, parse

US, MS, S = 10**3, 10**6, 10**9
WRITTEN = (DEADLINE_BUDGET, GRPC_TIMEOUT, CONNECT_TIMEOUT)

GRPC_GOOD: dict[str, int] = {
    "00000001n": 1,
    "0000001n": 1,
    "10u": 10 * US,
    "0000010m": 10 * MS,
    "00000010m": 10 * MS,
    "1234S": 1234 * S,
    "00000001M": 60 * S,
    "1H": 3600 * S,
    "2562047H": 2562047 * 3600 * S,
    "2562048H": MOST_NS,
    "99999999H": MOST_NS,
    "99999999M": 99999999 * 60 * S,
    "0S": 0,
    "0n": 0,
    "00000000S": 0,
}
GRPC_BAD = [
    "000000000S",
    "123456789S",  # PROTOCOL-HTTP2: at most 8 digits
    "-1S",
    "1234x",
    "1234s",
    "1234",
    "1",
    "",
    "S",
    "9a1S",
    "+1S",
    " 1S",
    "1S ",
    "1S\n",
    "1S\r",
    "1S\0",
    "\t1S",
    "\uff11S",
    "\u0661S",  # ARABIC-INDIC DIGIT ONE
    "1\uff33",
    "1_0S",
    "1.5S",
    "1e3m",
    "0x1S",
    "1 S",
    "1S1S",
    "1S,1S",
    "1h",
    "1µ",
    "1" * 10**6 + "S",
]
CONNECT_GOOD = {"5000": 5 * S, "0000000001": MS, "9999999999": 9999999999 * MS, "0": 0}
CONNECT_BAD = [
    "10s",
    "12345678901",
    "-5",
    "+5",
    " 5",
    "5 ",
    "5\n",
    "1_000",
    "\uff11\uff12",
    "",
    "1.5",
    "0x10",
    "1" * 10**6,
]
ENVOY_GOOD = {
    "1": MS,
    "250": 250 * MS,
    "0": None,
    "00": None,
    "18446744073709551615": MOST_NS,
}
ENVOY_BAD = ["-1", "", "text", "1.5", "1\n", " 1", "+1", "\uff11", "18446744073709551616", "1" * 21]
BUDGET_GOOD = {
    "1500": Parsed(1500 * MS),
    "1500;sent=1763823600123": Parsed(1500 * MS, 1763823600123),
    "1500; sent=1763823600123": Parsed(1500 * MS, 1763823600123),
    "1500;   sent=1763823600123": Parsed(1500 * MS, 1763823600123),
    "0;sent=1763823600123": Parsed(0, 1763823600123),
    "0": Parsed(0),
    "000000000001500": Parsed(1500 * MS),
    "999999999999999": Parsed(MOST_NS),
    "1500;hop=3;sent=1": Parsed(1500 * MS, 1),
    "1500;sent=1;sent=2": Parsed(1500 * MS, 2),
    "1500;sent=abc;sent=2": Parsed(1500 * MS, 2),
    "1500;sent=-7": Parsed(1500 * MS, -7),
    "1500;flag": Parsed(1500 * MS),
    "1500;flag=?0;d=1.5;n=-3;at=@1659578233": Parsed(1500 * MS),
    '1500;via="a;sent=9";sent=1': Parsed(1500 * MS, 1),
    r'1500;via="\";sent=9;\\";sent=1': Parsed(1500 * MS, 1),
    "1500;t=a/b:c;b=:aGk=:": Parsed(1500 * MS),
    '1500;name=%"f%c3%bc"': Parsed(1500 * MS),
    "1500;*x=1;a_b-c.d*=2": Parsed(1500 * MS),
    "  1500  ": Parsed(1500 * MS),  # RFC 9651, 4.2: spaces around an item are discarded
}
BUDGET_BAD = [
    "-1",
    "-0",
    "1.5",
    "1500ms",
    "1500;sent=",
    "1500; sent=abc",
    "1500;sent",
    "1500;sent=?1",
    '1500;sent="1"',
    "1500;sent=1.0",
    "1500;sent=@1",
    "1500;sent=1234567890123456",
    "1500, 1500",
    "1500,1500",
    "1500 1500",
    "1500;",
    "1500; ",
    "1500;;sent=1",
    "1500 ;sent=1",
    "1500;sent =1",
    "1500;sent= 1",
    "1500;Sent=1",
    "1500;\tsent=1",
    "1500;sent=1\n",
    "1500\n",
    "\t1500",
    "\uff11\uff15\uff10\uff10",
    "1500;sent=\uff11",
    "1_500",
    "+1500",
    "1234567890123456",
    "",
    " ",
    ";sent=1",
    "(1500)",
    '"1500"',
    '1500;via="unclosed',
    '1500;via="\n"',
    '1500;via="é"',
    "1500;x=" + "a" * 10**6,
    "1" * 10**6,
]


@pytest.mark.parametrize(("value", "nanoseconds"), GRPC_GOOD.items())
def test_grpc_good(value: str, nanoseconds: int | None) -> None:
    """A grpc-timeout is read exactly, up to 292 years."""
    assert decode(GRPC_TIMEOUT, value) == nanoseconds


@pytest.mark.parametrize(("value", "nanoseconds"), CONNECT_GOOD.items())
def test_connect_good(value: str, nanoseconds: int | None) -> None:
    """A connect-timeout-ms has one to ten digits."""
    assert decode(CONNECT_TIMEOUT, value) == nanoseconds


@pytest.mark.parametrize(("value", "nanoseconds"), ENVOY_GOOD.items())
def test_envoy_good(value: str, nanoseconds: int | None) -> None:
    """Envoy's header is an unsigned 64-bit integer, and 0 means no timeout."""
    assert decode(ENVOY_TIMEOUT, value) == nanoseconds


@pytest.mark.parametrize(("value", "parsed"), BUDGET_GOOD.items())
def test_budget_good(value: str, parsed: Parsed) -> None:
    """A deadline-budget is an RFC 9651 integer, whose unknown parameters are parsed and ignored."""
    assert parse(DEADLINE_BUDGET, value) == parsed
    assert decode(DEADLINE_BUDGET, value) == parsed.budget_ns


@pytest.mark.parametrize(
    ("header", "value"),
    [
        *((GRPC_TIMEOUT, value) for value in GRPC_BAD),
        *((CONNECT_TIMEOUT, value) for value in CONNECT_BAD),
        *((ENVOY_TIMEOUT, value) for value in ENVOY_BAD),
        *((DEADLINE_BUDGET, value) for value in BUDGET_BAD),
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_malformed(header: str, value: str) -> None:
    """What is not in the grammar, whole and in ASCII, is malformed; the message does not repeat it at length."""
    with pytest.raises(ValueError, match=re.escape(f"malformed {header}")) as caught:
        decode(header, value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("nanoseconds", "value"),
    [
        (1, "1n"),
        (99999999, "99999999n"),
        (100000000, "100000u"),
        (100000999, "100000u"),
        (99999999 * US + 999, "99999999u"),
        (100000000 * US, "100000m"),
        (3600400 * MS, "3600400m"),
        (100000 * S, "100000S"),
        (99999999 * S + S - 1, "99999999S"),
        (100000000 * S, "1666666M"),
        (MOST_NS, "2562047H"),
        (MOST_NS + 1, "2562047H"),
        (10**40, "2562047H"),
        (0, "1n"),
        (-5, "1n"),
    ],
)
def test_grpc_encode(nanoseconds: int, value: str) -> None:
    """A grpc-timeout is written in the finest unit that fits eight digits, rounded down."""
    assert encode(GRPC_TIMEOUT, nanoseconds) == value


@pytest.mark.parametrize(
    ("header", "nanoseconds", "value"),
    [
        (DEADLINE_BUDGET, 1500 * MS, "1500"),
        (DEADLINE_BUDGET, 1500 * MS - 1, "1499"),
        (DEADLINE_BUDGET, 999_999, "0"),
        (DEADLINE_BUDGET, -1, "0"),
        (DEADLINE_BUDGET, MOST_NS, "9223372036854"),
        (CONNECT_TIMEOUT, 5 * S + MS - 1, "5000"),
        (CONNECT_TIMEOUT, MOST_NS, "9999999999"),
    ],
)
def test_millisecond_encode(header: str, nanoseconds: int, value: str) -> None:
    """Milliseconds are rounded down, and cut to the digits there are."""
    assert encode(header, nanoseconds) == value


def test_unknown_headers() -> None:
    """Envoy's header is never written, and of other headers nothing is known."""
    with pytest.raises(ValueError, match="x-envoy-expected-rq-timeout-ms"):
        encode(ENVOY_TIMEOUT, S)
    with pytest.raises(ValueError, match="x-request-timeout"):
        decode("x-request-timeout", "1")


@given(st.sampled_from(WRITTEN), st.integers(min_value=1, max_value=2**70))
def test_never_lengthens(header: str, nanoseconds: int) -> None:
    """What is read is at most what was written, and less than a unit of the format below it."""
    decoded = decode(header, encode(header, nanoseconds))
    assert decoded is not None
    assert decoded <= nanoseconds
    if nanoseconds < 10**15:
        assert nanoseconds - decoded < max(MS, nanoseconds // 10**5)


@given(st.sampled_from(WRITTEN), st.integers(min_value=1, max_value=2**70))
def test_round_trips_settle(header: str, nanoseconds: int) -> None:
    """Passing a deadline on through any number of hops rounds it once."""
    once = decode(header, encode(header, nanoseconds))
    assert once is not None
    if once > 0:
        assert decode(header, encode(header, once)) == once


@given(st.sampled_from(WRITTEN), st.lists(st.integers(min_value=1, max_value=2**65), min_size=2, max_size=2))
def test_monotonous(header: str, pair: list[int]) -> None:
    """Of two budgets the longer never reads as the shorter."""
    shorter, longer = sorted(decode(header, encode(header, nanoseconds)) or 0 for nanoseconds in sorted(pair))
    assert [shorter, longer] == [decode(header, encode(header, nanoseconds)) or 0 for nanoseconds in sorted(pair)]


ALPHABET = string.digits + 'HMSmunhs;= .,-+_eE@?:"%\\*\n\t\0\uff11\u0663é' + "sent"
GRAMMARS = {
    GRPC_TIMEOUT: re.compile("[0-9]{1,8}[HMSmun]"),
    CONNECT_TIMEOUT: re.compile("[0-9]{1,10}"),
    ENVOY_TIMEOUT: re.compile("[0-9]{1,20}"),
    DEADLINE_BUDGET: re.compile(" *[0-9]{1,15}(;.*)? *"),
}


def check_any(header: str, value: str) -> None:
    """Any text is either in the grammar and within bounds, or a ValueError."""
    try:
        nanoseconds = decode(header, value)
    except ValueError:
        return
    assert GRAMMARS[header].fullmatch(value)
    assert value.isascii()
    assert nanoseconds is None or 0 <= nanoseconds <= MOST_NS


@given(st.sampled_from(HEADERS), st.text() | st.text(alphabet=ALPHABET, max_size=30))
def test_any_text(header: str, value: str) -> None:
    """Any text is either in the grammar and within bounds, or a ValueError."""
    check_any(header, value)


@given(st.sampled_from(HEADERS), st.binary(max_size=40))
def test_any_bytes(header: str, value: bytes) -> None:
    """So are any bytes, as servers hand them on."""
    check_any(header, value.decode("latin-1"))


def test_fuzz() -> None:
    """``TRACEDTIMEOUT_FUZZ=1000000`` random and mutated values raise nothing but ValueError."""
    dice = random.Random(5)
    seeds = [*GRPC_GOOD, *CONNECT_GOOD, *ENVOY_GOOD, *BUDGET_GOOD]
    for _ in range(int(os.environ.get("TRACEDTIMEOUT_FUZZ", "2000"))):
        value = list(dice.choice(seeds))
        for _ in range(dice.randrange(4)):
            at = dice.randrange(len(value) + 1)
            value[at : at + dice.randrange(3)] = dice.choices(ALPHABET, k=dice.randrange(3))
        check_any(dice.choice(HEADERS), "".join(value))
