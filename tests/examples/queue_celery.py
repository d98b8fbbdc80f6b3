"""A task queue that OpenTelemetry's instrumentation for celery carries the budget through, with no code of ours in it.

Prints what each of two tasks finds left: of one sent under a budget of 60 s, and of one sent without.
"""

from __future__ import annotations

from celery import Celery  # type: ignore[import-untyped]
from celery.contrib.testing.worker import start_worker  # type: ignore[import-untyped]
from opentelemetry.instrumentation.celery import CeleryInstrumentor

from tracedtimeout import budget, remaining

app = Celery("left", broker="memory://", backend="cache+memory://")


@app.task  # type: ignore[untyped-decorator]  # celery has no types
def left() -> float:
    return remaining()


def main() -> None:
    CeleryInstrumentor().instrument()  # type: ignore[no-untyped-call]  # nor has that
    with start_worker(app, pool="solo", perform_ping_check=False):
        with budget(60.0):
            bounded = left.delay()
        print(bounded.get(timeout=30), left.delay().get(timeout=30))


if __name__ == "__main__":
    main()
