"""The same routes in Quart, Flask behind two adapters, Django and Sanic, each on a server with or without us."""

from __future__ import annotations

import asyncio
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from tracedtimeout.integrations.asgi import exempt

# By name: mypy runs without the extra.
a2wsgi: Any = import_module("a2wsgi")
django: Any = import_module("django")
flask: Any = import_module("flask")
quart: Any = import_module("quart")
sanic: Any = import_module("sanic")
views: Any = import_module("django.views")
responses: Any = import_module("django.http")
urls: Any = import_module("django.urls")

STUCK = 0.4
"""Seconds that a plain function takes, which nothing ends."""


@dataclass(frozen=True, slots=True)
class Written:
    """An application, and how its framework writes the routes of ``/stuck/1`` and ``/shop/pen``."""

    app: Any
    stuck: str
    item: str
    refused: str = "_unmatched"
    """The name of ``/stuck/1`` with a method that it does not serve: in Django that is the view's to know."""


def in_quart() -> Written:
    app = quart.Quart("shop")

    async def hello(item: str = "") -> str:
        return "hello"

    app.get("/hello")(hello)

    async def stuck(order: int) -> str:
        await asyncio.sleep(60.0)
        return "never"

    app.route("/stuck/<int:order>", methods=["GET", "POST"])(stuck)

    @exempt
    async def stream() -> str:
        await asyncio.sleep(0.2)
        return "streamed"

    app.get("/stream")(stream)

    shop = quart.Blueprint("items", "items", url_prefix="/shop")
    shop.get("/<item>")(hello)
    app.register_blueprint(shop)
    return Written(app, "/stuck/<int:order>", "/shop/<item>")


def in_flask() -> Any:
    app = flask.Flask("shop")

    def hello(item: str = "") -> str:
        return "hello"

    app.get("/hello")(hello)

    def stuck(order: int) -> str:
        time.sleep(STUCK)
        return "too late"

    app.route("/stuck/<int:order>", methods=["GET", "POST"])(stuck)

    @exempt
    def stream() -> str:
        time.sleep(0.2)
        return "streamed"

    app.get("/stream")(stream)

    shop = flask.Blueprint("items", "items", url_prefix="/shop")
    shop.get("/<item>")(hello)
    app.register_blueprint(shop)
    return app


def in_flask_by(adapter: Callable[[Any], Any]) -> Callable[[], Written]:
    return lambda: Written(adapter(in_flask()), "/stuck/<int:order>", "/shop/<item>")


async def django_hello(request: Any, item: str = "") -> Any:
    return responses.HttpResponse("hello")


class Stuck(views.View):  # type: ignore[misc]  # of type Any, see above
    async def get(self, request: Any, order: int) -> Any:
        await asyncio.sleep(60.0)
        return responses.HttpResponse("never")

    post = get


@exempt
async def django_stream(request: Any) -> Any:
    await asyncio.sleep(0.2)
    return responses.HttpResponse("streamed")


def in_django() -> Written:
    settings = import_module("django.conf").settings
    if not settings.configured:
        table: Any = ModuleType("tests.frameworks.urls")
        table.urlpatterns = [
            urls.path("hello", django_hello),
            urls.path("stuck/<int:order>", Stuck.as_view()),
            urls.path("stream", django_stream),
            urls.path("shop/", urls.include([urls.path("<item>", django_hello)])),
        ]
        sys.modules[table.__name__] = table
        settings.configure(ROOT_URLCONF=table.__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="-", MIDDLEWARE=[])  # noqa: S106
        django.setup()
    app = import_module("django.core.asgi").get_asgi_application()
    return Written(app, "/stuck/<int:order>", "/shop/<item>", refused="/stuck/<int:order>")


_number = itertools.count()


def in_sanic() -> Written:
    app = sanic.Sanic(f"shop{next(_number)}", configure_logging=False)

    async def hello(request: Any, item: str = "") -> Any:
        return sanic.text("hello")

    app.get("/hello")(hello)

    async def stuck(request: Any, order: int) -> Any:
        await asyncio.sleep(60.0)
        return sanic.text("never")

    app.route("/stuck/<order:int>", methods=["GET", "POST"])(stuck)

    @exempt
    async def stream(request: Any) -> Any:
        await asyncio.sleep(0.2)
        return sanic.text("streamed")

    app.get("/stream")(stream)

    shop = sanic.Blueprint("items", url_prefix="/shop")
    shop.add_route(hello, "/<item>")
    app.blueprint(shop)
    return Written(app, "/stuck/<order:int>", "/shop/<item:str>")


FRAMEWORKS: dict[str, Callable[[], Written]] = {
    "quart": in_quart,
    "flask by asgiref": in_flask_by(import_module("asgiref.wsgi").WsgiToAsgi),
    "flask by a2wsgi": in_flask_by(a2wsgi.WSGIMiddleware),
    "django": in_django,
    "sanic": in_sanic,
}
