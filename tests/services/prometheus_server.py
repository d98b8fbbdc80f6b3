"""A real Prometheus on loopback, for tests that ask it questions."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.scraping import program

CONFIG = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs: [{{job_name: app, static_configs: [{{targets: ["{target}"]}}]}}]
"""


@asynccontextmanager
async def prometheus(target: str, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a Prometheus that scrapes ``host:port`` five times a second and stores exemplars."""
    path = program("prometheus", "apt-get install prometheus")
    (folder / "prometheus.yml").write_text(CONFIG.format(target=target))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (folder / "log").open("w") as log:
        server = await asyncio.create_subprocess_exec(
            path,
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address={address}",
            "--enable-feature=exemplar-storage",
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://{address}/api/v1/") as client:
            yield client
    finally:
        server.terminate()
        await server.wait()


async def answer(client: httpx.AsyncClient, path: str, good: Callable[[Any], bool], **parameters: Any) -> Any:
    """The data of the first good answer, waited for as long as a slow machine may need."""
    data: Any = None
    for _ in range(300):
        try:
            response = await client.get(path, params=parameters)
        except httpx.TransportError:
            data = "no connection"
        else:
            data = response.json().get("data") if response.is_success else response.text
            if response.is_success and good(data):
                return data
        await asyncio.sleep(0.1)
    raise AssertionError(f"{path} keeps answering {data!r}")
