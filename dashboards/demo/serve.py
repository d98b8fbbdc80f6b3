"""One process of the demo in a container: on a port of all interfaces, where the demo itself hands a socket on.

    python serve.py shop 8080 /tmp/shop.sqlite http://payments:8080
    python serve.py payments 8080
    python serve.py load http://shop:8080

With ``DEMO_METRICS=otlp`` its metrics are also pushed, to ``OTEL_EXPORTER_OTLP_ENDPOINT``.
"""

from __future__ import annotations

import os
import socket
import sys

from tracedtimeout.demo.run import load, serve


def main(service: str, *arguments: str) -> None:
    """Run `service` with what the demo gives it, a port in the place of a socket's number."""
    if service == "load":
        load.main(*arguments)
        return
    if os.environ.get("DEMO_METRICS") == "otlp":
        push(f"demo-{service}")
    listening = socket.create_server(("0.0.0.0", int(arguments[0])))  # noqa: S104  # the container's own
    serve.main(service, str(listening.detach()), *arguments[1:])


def push(service: str) -> None:
    """Export the metrics of this process every five seconds."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter  # noqa: PLC0415  # optional
    from opentelemetry.sdk.metrics import MeterProvider  # noqa: PLC0415
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

    from tracedtimeout import otlp  # noqa: PLC0415

    who = Resource.create({"service.name": service, "service.instance.id": socket.gethostname()})
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(), export_interval_millis=5000)
    otlp.instrument(MeterProvider([reader], resource=who))


if __name__ == "__main__":
    main(*sys.argv[1:])
