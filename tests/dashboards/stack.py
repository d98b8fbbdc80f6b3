"""The compose stack's own configuration, and Debian's Prometheus run on it."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import run
from typing import Any

import httpx
import yaml

from dashboards import rules
from dashboards._windows import duration
from tests.support import missing
from tests.support.processes import answers, free_port, process

ROOT = Path(__file__).parents[2]
DASHBOARDS = ROOT / "dashboards"
GENERATED = ROOT / "tracedtimeout/commands/_dashboards"
PACKAGES = {"promtool": "prometheus", "amtool": "prometheus-alertmanager"}
"""The Debian packages of programs that are not called like theirs."""


def program(name: str) -> str:
    """The path of a program that a test needs."""
    return shutil.which(name) or missing(name, f"apt-get install {PACKAGES.get(name, name)}")


def native_prometheus() -> str:
    """The path of a Prometheus that converts classic histograms to native ones: 3.4 or newer."""
    sid = Path(os.environ.get("TRACEDTIMEOUT_CHROOT", "/var/cache/tracedtimeout-sid")) / "usr/bin/prometheus"
    for path in (shutil.which("prometheus"), sid):
        if path is not None and Path(path).exists():
            told = run([path, "--version"], capture_output=True, text=True, check=False).stdout
            version = re.search(r"version (\d+)\.(\d+)", told)
            if version is not None and tuple(map(int, version.groups())) >= (3, 4):
                return str(path)
    return missing("Prometheus 3.4", "of Debian sid: .ci/chroot")


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running Prometheus that is asked over HTTP."""

    client: httpx.AsyncClient

    async def instant(self, expr: str) -> list[dict[str, Any]]:
        """The series of an expression, now."""
        return await self._ask("query", query=expr)

    async def over(self, expr: str, start: float, end: float, step: float = 0.5) -> list[dict[str, Any]]:
        """The series of an expression from `start` to `end`, in steps of so many seconds."""
        return await self._ask("query_range", query=expr, start=start, end=end, step=step)

    async def firing(self, start: float, end: float) -> list[str]:
        """The alerts that fired, in the order in which they first did."""
        series = await self.over('ALERTS{alertstate="firing"}', start, end)
        first = sorted((float(one["values"][0][0]), one["metric"]["alertname"]) for one in series)
        return list(dict.fromkeys(name for _, name in first))

    async def exemplars(self, metric: str, start: float, end: float) -> list[dict[str, str]]:
        """The labels of the exemplars of a metric."""
        series = await self._ask("query_exemplars", query=metric, start=start, end=end)
        return [exemplar["labels"] for one in series for exemplar in one["exemplars"]]

    async def _ask(self, path: str, **parameters: Any) -> list[dict[str, Any]]:
        response = await self.client.post(path, data=parameters)
        assert response.is_success, f"{parameters['query']}\n{response.text}"
        data = response.json()["data"]
        result: list[dict[str, Any]] = data["result"] if isinstance(data, dict) else data
        return result


@asynccontextmanager
async def prometheus(
    targets: Mapping[str, Sequence[str]], folder: Path, *, scale: float, native: str = ""
) -> AsyncIterator[Prometheus]:
    """Prometheus as the compose stack runs it, but on loopback, scraping `targets` by job, its windows scaled.

    With `native`, the path of a Prometheus 3.4 or newer, it stores every histogram as a native one.
    """
    config, data, address = folder / "prometheus.yml", folder / "tsdb", f"127.0.0.1:{free_port()}"
    configuration = _configuration(targets, duration("30s", scale))
    if native:
        configuration["global"]["convert_classic_histograms_to_nhcb"] = True
    config.write_text(yaml.safe_dump(configuration))
    table = DASHBOARDS / "prometheus/objectives.yml"
    for name, text in {**rules.files(scale), table.name: table.read_text()}.items():
        (folder / name).write_text(text)
    own = {"--config.file": config, "--storage.tsdb.path": data, "--web.listen-address": address}
    flags = {flag.partition("=")[0]: flag.partition("=")[2] for flag in _flags()} | own
    arguments = [f"{flag}={value}" for flag, value in flags.items()]
    arguments += ["--enable-feature=native-histograms"] if native else []
    async with process(native or program("prometheus"), *arguments, log=folder / "prometheus.log"):
        await answers(f"http://{address}/-/ready", folder / "prometheus.log")
        async with httpx.AsyncClient(base_url=f"http://{address}/api/v1/", timeout=10) as client:
            yield Prometheus(client)


def _flags() -> list[str]:
    flags: list[str] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["prometheus"]["command"]
    return flags


def _configuration(targets: Mapping[str, Sequence[str]], every: str) -> dict[str, Any]:
    """The stack's configuration with intervals and targets overridden, and nobody to send alerts to."""
    config: dict[str, Any] = yaml.safe_load((DASHBOARDS / "prometheus/prometheus.yml").read_text())
    config["global"] = {"scrape_interval": every, "scrape_timeout": every, "evaluation_interval": every}
    del config["alerting"]
    like = config["scrape_configs"][0]
    config["scrape_configs"] = [
        like | {"job_name": job, "static_configs": [{"targets": list(hosts)}]} for job, hosts in targets.items()
    ]
    return config
