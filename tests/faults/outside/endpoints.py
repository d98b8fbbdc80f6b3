"""Endpoints in trouble: timeouts expire as they would without them, and all is exported when they are well again.

An OTLP endpoint that is down, says nothing, resets or refuses; readers of Prometheus' page that stall or hang up.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry import metrics, trace
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import tracedtimeout
from tracedtimeout.prometheus import start_metrics_server

SECONDS = 2
TURNS = 10
"""The fewest that a loop takes in a second, on the busiest machine; a blocked one takes hardly any."""


class Endpoint(BaseHTTPRequestHandler):
    """An OTLP endpoint that answers by `fault`; while that is "" it keeps what comes."""

    fault = ""
    kept: list[bytes] = []  # noqa: RUF012  # one endpoint a process
    asked = 0

    def do_POST(self) -> None:
        type(self).asked += 1
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.fault == "silent":
            time.sleep(5)
        elif self.fault == "resetting":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif self.fault == "refusing":
            self.send_error(503)
        else:
            if self.path.endswith("metrics"):
                self.kept.append(body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


def exported(body: bytes) -> int:
    """The expiries that an export tells of."""
    request = ExportMetricsServiceRequest.FromString(body)
    return sum(
        int(point.as_int)
        for resource in request.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
        if metric.name == "tracedtimeout.expirations"
        for point in metric.sum.data_points
    )


async def expire(seconds: float, meanwhile: Callable[[], object]) -> tuple[int, int, int]:
    """For so long: how many timeouts expired, how many ended otherwise, and the turns of the loop."""
    expired = otherwise = turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    turning = asyncio.create_task(turn())
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            async with tracedtimeout.timeout(0.005, name="work") as it:
                await asyncio.sleep(60)
        except TimeoutError:
            pass
        expired, otherwise = expired + (it.outcome == "expired"), otherwise + (it.outcome != "expired")
        meanwhile()
    turning.cancel()
    return expired, otherwise, turns


def otlp(fault: str, seconds: int, *, planted: bool) -> list[str]:
    """What is wrong while an endpoint is in trouble, and after it."""
    server = Server(("127.0.0.1", 0), Endpoint)
    Endpoint.fault = fault
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    if fault != "down":
        thread.start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    if fault == "down":
        server.socket.close()  # nobody listens there
    exporter = OTLPMetricExporter(f"{url}/metrics", timeout=1)
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=200, export_timeout_millis=1000)
    metrics.set_meter_provider(MeterProvider([reader]))
    tracer = TracerProvider()
    tracer.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(f"{url}/traces", timeout=1), schedule_delay_millis=200)
    )
    trace.set_tracer_provider(tracer)
    tracedtimeout.install()
    wrong = []
    expired, otherwise, turns = asyncio.run(expire(seconds, reader.force_flush if planted else lambda: None))
    if otherwise or not expired:
        wrong.append(f"{expired} timeouts expire, {otherwise} end otherwise")
    if turns < TURNS * seconds:
        wrong.append(f"the loop takes {turns} turns in {seconds} s")
    if fault != "down" and not Endpoint.asked:
        wrong.append("nobody asks the endpoint")
    Endpoint.fault = ""
    if fault == "down":
        server = Server(("127.0.0.1", server.server_port), Endpoint)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    until = time.monotonic() + 30
    while time.monotonic() < until and not (Endpoint.kept and exported(Endpoint.kept[-1]) == expired):
        time.sleep(0.1)
    if not Endpoint.kept or exported(Endpoint.kept[-1]) != expired:
        wrong.append(f"{expired} expire, exported are {[exported(body) for body in Endpoint.kept[-3:]]}")
    return wrong


def readers(seconds: int) -> list[str]:
    """What is wrong while readers of Prometheus' page stall, hang up, or ask for nothing."""
    tracedtimeout.install(spans="off")
    wrong: list[str] = []
    with start_metrics_server(0) as server:
        stalled = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        for number, each in enumerate(stalled):
            each.sendall(b"GET /metrics HTTP/1.1\r\n" + (b"host: a\r\n\r\n" if number % 2 else b""))
            if number % 4 == 0:
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.close()
        expired, otherwise, turns = asyncio.run(expire(seconds, lambda: None))
        if otherwise or turns < TURNS * seconds:
            wrong.append(f"{otherwise} timeouts end otherwise, the loop takes {turns} turns in {seconds} s")
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        if f'tracedtimeout_expirations_total{{outcome="expired",timeout="work"}} {float(expired)}' not in text:
            wrong.append("the page of another reader does not show the expiries")
        for each in stalled:
            each.close()
    return wrong


def main(fault: str, *words: str) -> int:
    """Print what is wrong; the status is 1 if anything is. A number: the seconds of trouble."""
    logging.disable()  # the SDK tells of each export that fails
    seconds = int(next((word for word in words if word.isdigit()), SECONDS))
    wrong = readers(seconds) if fault == "readers" else otlp(fault, seconds, planted="planted" in words)
    print(f"{fault} for {seconds} s: {len(wrong)} faults", *wrong, sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    import os

    status = main(*sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)  # the SDK would wait for its exports
