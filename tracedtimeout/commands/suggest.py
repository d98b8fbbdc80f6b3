"""``python -m tracedtimeout suggest URL``: the limits that Prometheus suggests, as a file for TRACEDTIMEOUT_LIMITS."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from . import _http

__all__ = ["Suggestion", "main", "written"]

PATIENCE = 30.0
"""Seconds that Prometheus has to answer."""

SUGGESTED = "job_timeout:tracedtimeout_suggested_limit_seconds:p999_rate1d"
LIMIT = "job_timeout:tracedtimeout_limit_seconds:mean_rate1d"
VERDICT = "job_timeout:tracedtimeout_limit_verdict:rate1d"
"""Series of the recording rules that `dashboards` writes."""

CANNOT_TELL = {3: "too few to tell", 4: "cannot tell, over 0.1 % expire", 5: "cannot tell, another's deadline ends it"}
"""Verdicts with which a suggestion is no measurement; the others are 0 fits, 1 too loose, 2 too tight."""

RULES = "Prometheus has no suggestions: load the recording rules that `python -m tracedtimeout dashboards DIR` writes."

Series = dict[tuple[str, str], float]
"""By job and timeout."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A suggested limit, and what it is to replace."""

    name: str
    job: str
    seconds: float
    limit: float | None
    verdict: int | None


class NoAnswerError(Exception):
    """Prometheus does not answer; says what does."""


def main(arguments: list[str]) -> int | str:
    """Print the limits as TOML; returns what to exit with."""
    asked = _parser().parse_args(arguments)
    try:
        suggested = list(_suggestions(asked.url, asked.header, asked.job))
    except NoAnswerError as error:
        return str(error)
    if not suggested:
        return RULES
    print("\n".join(written(suggested)))
    return 0


def written(suggested: Sequence[Suggestion]) -> Iterator[str]:
    """The lines of a file of limits: of several jobs the greatest; what cannot be told is a comment."""
    yield "# Suggested by the durations of a day: their p99.9, and a quarter more. For TRACEDTIMEOUT_LIMITS=FILE."
    yield "# They hold for timeouts that have a name= in the code."
    greatest: dict[str, Suggestion] = {}
    for each in sorted(suggested, key=lambda one: (one.name, one.verdict in CANNOT_TELL, -one.seconds)):
        greatest.setdefault(each.name, each)
    for each in greatest.values():
        others = sorted({other.job for other in suggested if other.name == each.name} - {each.job})
        now = "" if each.limit is None else f"now {_rounded(each.limit):g}, "
        why = CANNOT_TELL.get(each.verdict) if each.verdict is not None else None
        of = f"of {each.job}" + (f", above {', '.join(others)}" if others else "")
        line = f"{json.dumps(each.name)} = {_rounded(each.seconds):g}  # {now}{of}"
        yield line if why is None else f"# {line}: {why}"


def _rounded(seconds: float) -> float:
    """Seconds rounded up to two digits."""
    if seconds <= 0.0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(seconds)) - 1)
    return float(f"{math.ceil(round(seconds / step, 6)) * step:.6g}")


def _suggestions(url: str, headers: Sequence[tuple[str, str]], job: str | None) -> Iterator[Suggestion]:
    limits, verdicts = (_asked(url, headers, expr) for expr in (LIMIT, VERDICT))
    for (of, name), seconds in _asked(url, headers, SUGGESTED).items():
        if name != "_OTHER" and job in (None, of) and 0.0 < seconds < math.inf:
            verdict = verdicts.get((of, name))
            limit = limits.get((of, name))
            yield Suggestion(name, of, seconds, limit, None if verdict is None else int(verdict))


def _asked(url: str, headers: Sequence[tuple[str, str]], expr: str) -> Series:
    """The series of an expression, now; of clusters and namespaces the greatest.

    Raises:
        NoAnswerError: no Prometheus answers there.
    """
    request = Request(f"{url}/api/v1/query?{urlencode({'query': expr})}")  # noqa: S310  # http or https: see `_http`
    for name, value in headers:
        request.add_unredirected_header(name, value)  # it may be a secret, for this host alone
    try:
        with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310  # as above
            found: list[dict[str, Any]] = json.load(answer)["data"]["result"]
    except HTTPError as error:
        error.close()
        raise NoAnswerError(f"{url} answers {error.code} {error.reason}: is it a Prometheus?") from None
    except URLError as error:
        why = getattr(error.reason, "strerror", None) or error.reason
        raise NoAnswerError(f"No answer from {url}: {why}") from None
    except TimeoutError:
        raise NoAnswerError(f"No answer from {url} in {PATIENCE:.0f} s") from None
    except (OSError, HTTPException, ValueError, LookupError, TypeError):
        raise NoAnswerError(f"{url} answers, but is no Prometheus") from None
    series: Series = {}
    for each in found:
        labels, number = each["metric"], float(each["value"][1])
        key = (labels.get("job", ""), labels.get("timeout", ""))
        if not math.isnan(number):
            series[key] = max(number, series.get(key, number))
    return series


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tracedtimeout suggest",
        description="Prints the limits that the recording rules suggest, as TOML for TRACEDTIMEOUT_LIMITS.",
    )
    parser.add_argument("url", type=_http.url, help="of Prometheus, as http://prometheus:9090")
    parser.add_argument("--job", help="one job alone; else the greatest of all")
    parser.add_argument(
        "--header", type=_http.header, action="append", default=[], help="to send along, as 'Authorization: Bearer ...'"
    )
    return parser
