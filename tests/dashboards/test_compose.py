"""The compose stack: every file of it is what the program it is for accepts, and asks for no more than it needs."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from subprocess import run
from typing import Any

import httpx
import pytest
import yaml

from tests.dashboards.stack import DASHBOARDS, ROOT, program
from tests.services.asgi_servers import serving
from tests.support.processes import PATIENCE, answers, free_port, process

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PUBLISHED = {name: service for name, service in SERVICES.items() if "build" not in service}

DIGEST = "@sha256:[0-9a-f]{64}"


def load(path: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((DASHBOARDS / path).read_text())
    return content


def test_the_compose_file_fulfils_the_compose_specification() -> None:
    """The published schema of the Compose Specification accepts the file."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    checked = run([*command, str(ROOT / "docker-compose.yml")], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.server
def test_prometheus_accepts_its_configuration() -> None:
    """`promtool check config` finds nothing wrong, in the rule files neither."""
    command = [program("promtool"), "check", "config", str(DASHBOARDS / "prometheus/prometheus.yml")]
    checked = run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.server
def test_alertmanager_accepts_its_configuration() -> None:
    """`amtool check-config` finds nothing wrong."""
    command = [program("amtool"), "check-config", str(DASHBOARDS / "alertmanager/alertmanager.yml")]
    checked = run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("name", PUBLISHED)
def test_images_are_pinned_by_digest(name: str) -> None:
    """A service that is not built here comes from an image of a full version, by its digest."""
    assert re.fullmatch(rf"[a-z/-]+:v?\d+\.\d+\.\d+{DIGEST}", SERVICES[name]["image"])


@pytest.mark.parametrize("path", ["demo/Dockerfile", "otel-collector/Dockerfile"])
def test_images_are_built_on_pinned_ones(path: str) -> None:
    """Each FROM names a full version, by its digest."""
    bases = re.findall(r"^FROM (\S+)", (DASHBOARDS / path).read_text(), re.MULTILINE)
    assert bases
    assert [base for base in bases if not re.search(rf":v?\d+\.\d+\.\d+[a-z-]*{DIGEST}$", base)] == []


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_has_limits_and_few_rights(name: str) -> None:
    """Processor, memory and processes are limited; the file system is read-only, capabilities are dropped."""
    service = SERVICES[name]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_every_service_that_serves_has_a_health_check() -> None:
    """Only the load, which serves nothing, has none."""
    assert [name for name, service in SERVICES.items() if service["healthcheck"].get("disable")] == ["load"]
    assert all(len(service["healthcheck"].get("test", ["", ""])) > 1 for service in SERVICES.values())


def test_only_what_a_person_opens_is_published_and_on_loopback() -> None:
    """The shop, Grafana and Prometheus are reached from this machine, nothing else is, and from nowhere else."""
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {
        "shop": ["127.0.0.1:8080:8080"],
        "prometheus": ["127.0.0.1:9090:9090"],
        "grafana": ["127.0.0.1:3000:3000"],
    }


def test_every_mounted_file_exists() -> None:
    """Docker would make an empty directory of a file that is not there."""
    mounts = [volume.split(":") for service in SERVICES.values() for volume in service.get("volumes", [])]
    missing = [source for source, *_ in mounts if source.startswith(".") and not (ROOT / source).exists()]
    assert missing == []
    assert {source for source, *_ in mounts if not source.startswith(".")} == set(COMPOSE["volumes"])


def test_exemplars_link_to_traces() -> None:
    """Prometheus keeps exemplars, and Grafana makes a link to Tempo of their `trace_id`."""
    provisioned = load("grafana/provisioning/datasources/datasources.yml")["datasources"]
    sources = {source["uid"]: source for source in provisioned}
    assert "--enable-feature=exemplar-storage" in SERVICES["prometheus"]["command"]
    assert sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"] == [
        {"name": "trace_id", "datasourceUid": "tempo"}
    ]
    assert sources["tempo"]["type"] == "tempo"


def test_every_address_is_that_of_a_service() -> None:
    """Hosts named in the configuration are services of the stack, at ports they serve."""
    files = [path for path in DASHBOARDS.rglob("*.yml") if not path.name.endswith("_test.yml")]
    text = "\n".join([(ROOT / "docker-compose.yml").read_text(), *(path.read_text() for path in files)])
    hosts = {host for host, _ in re.findall(r"\b([a-z-]+):(\d{4,5})\b", text)}
    assert hosts == {"shop", "payments", "otel-collector", "tempo", "prometheus", "alertmanager"}


def test_what_a_pipeline_of_the_collector_names_is_configured() -> None:
    """Each receiver, processor, exporter and extension in use has its section, and each section is in use."""
    config = load("otel-collector/config.yml")
    pipelines = config["service"]["pipelines"].values()
    for kind in ("receivers", "processors", "exporters"):
        assert {part for pipeline in pipelines for part in pipeline[kind]} == set(config[kind])
    assert config["service"]["extensions"] == list(config["extensions"])
    assert config["exporters"]["prometheus"]["enable_open_metrics"]


def test_grafana_finds_the_dashboards() -> None:
    """The provider's path is where the dashboards are mounted, and one of them is the home page."""
    (provider,) = load("grafana/provisioning/dashboards/dashboards.yml")["providers"]
    mounted = dict(volume.split(":")[1::-1] for volume in SERVICES["grafana"]["volumes"])
    boards = ROOT / mounted[provider["options"]["path"]]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert json.loads((boards / Path(home).name).read_text())["uid"] == "tracedtimeout-overview"


@pytest.mark.slow
async def test_the_containers_run_what_serves_and_pushes(tmp_path: Path) -> None:
    """Started as the compose file has it, the shop answers through payments, and metrics and traces are pushed.

    On the real clock: processes have no other.
    """
    pushed: set[str] = set()

    async def collector(scope: Any, receive: Any, send: Any) -> None:
        pushed.add(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving(collector))

        async def start(name: str, *arguments: str) -> None:
            pushes = SERVICES[name]["environment"].get("DEMO_METRICS", "")
            environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, "DEMO_METRICS": pushes, "PYTHONPATH": str(ROOT)}
            command = [sys.executable, str(DASHBOARDS / "demo/serve.py"), name, *arguments]
            log = tmp_path / f"{name}.log"
            await stack.enter_async_context(process(*command, log=log, environment=environment))
            await answers(f"http://127.0.0.1:{arguments[0]}/metrics", log)

        payments, shop = str(free_port()), str(free_port())
        assert [SERVICES[name]["command"][0] for name in ("payments", "shop", "load")] == ["payments", "shop", "load"]
        await start("payments", payments)
        await start("shop", shop, str(tmp_path / "shop.sqlite"), f"http://127.0.0.1:{payments}")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{shop}", timeout=20) as client:
            paid = await client.post("/checkout?product=7&card=4000")
            page = await client.get("/timeouts")
        async with asyncio.timeout(PATIENCE):
            while pushed < {"/v1/metrics", "/v1/traces"}:
                await asyncio.sleep(0.1)
    assert (paid.status_code, page.status_code) == (200, 200)
    assert pushed == {"/v1/metrics", "/v1/traces"}
