"""Puts the middlewares around every application that a known server serves, without a change in it.

Servers are patched where they have loaded the application, so that the middleware is outermost: a call id in a URL or
header is known before any tracing middleware starts its span. Starlette and Flask are patched too, for the servers not
listed here and for test clients; the middlewares recognise a request that is followed already. Which call it is, and
anything about requests, is the middlewares' business.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Final

from otel_logging.calls import asgi, wsgi
from otel_logging.calls.patching import Patches

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

_patches = Patches("servers")

# gunicorn's workers that call a WSGI application themselves. Others (uvicorn's, aiohttp's) hand it on to a server.
_WSGI_WORKERS: Final = frozenset(
    {"gunicorn.workers.sync", "gunicorn.workers.gthread", "gunicorn.workers.base_async", "gunicorn.workers.gtornado"}
)


def install() -> None:
    """Patch the servers that are imported, and the others once they are. May be called again; never raises."""
    _patches.install()


def uninstall() -> None:
    """Take the patches back. Applications that a running server has loaded stay wrapped, and their calls followed."""
    _patches.uninstall()


def _is_asgi(app: Any) -> bool:
    return inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(getattr(app, "__call__", None))  # noqa: B004


def _around_asgi(app: Any) -> Any:
    return app if isinstance(app, asgi.CallMiddleware) else asgi.CallMiddleware(app)


def _around_asgi_task(app: Any) -> Any:
    return app if isinstance(app, asgi.CallMiddleware) else asgi.CallMiddleware(app, own_tasks=True)


def _around_wsgi(app: Any) -> Any:
    return app if isinstance(app, wsgi.CallMiddleware) else wsgi.CallMiddleware(app)


def _then(attribute: str, around: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A patch of a method that leaves an application in `self.<attribute>`: it is wrapped after the method is done."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            app = getattr(self, attribute, None)
            if app is not None and _patches.active:
                setattr(self, attribute, around(app))
            return result

        return method

    return make


@_patches.on_import("uvicorn.config")
def _uvicorn(module: ModuleType) -> None:
    # Every way into uvicorn (command, run(), --workers, --reload, a gunicorn worker) loads its application here,
    # and has turned it into a plain ASGI 3 application by then.
    _patches.replace(module.Config, "load", _then("loaded_app", _around_asgi_task))


@_patches.on_import("hypercorn.app_wrappers")
def _hypercorn(module: ModuleType) -> None:
    _patches.replace(module.ASGIWrapper, "__init__", _then("app", _around_asgi_task))
    _patches.replace(module.WSGIWrapper, "__init__", _then("app", _around_wsgi))


@_patches.on_import("gunicorn.workers.base")
def _gunicorn(module: ModuleType) -> None:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def load_wsgi(self: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(self, *args, **kwargs)
            calls_it = any(cls.__module__ in _WSGI_WORKERS for cls in type(self).__mro__)
            if calls_it and _patches.active and not _is_asgi(self.wsgi):
                self.wsgi = _around_wsgi(self.wsgi)
            return result

        return load_wsgi

    _patches.replace(module.Worker, "load_wsgi", make)


@_patches.on_import("gunicorn.workers.gasgi")
def _gunicorn_asgi(module: ModuleType) -> None:
    _patches.replace(module.ASGIWorker, "load_wsgi", _then("asgi", _around_asgi))


@_patches.on_import("werkzeug.serving")
def _werkzeug(module: ModuleType) -> None:
    _patches.replace(module.BaseWSGIServer, "__init__", _then("app", _around_wsgi))


@_patches.on_import("starlette.applications")
def _starlette(module: ModuleType) -> None:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        # A coroutine function, as servers recognise ASGI 3 applications by it.
        @functools.wraps(original)
        async def __call__(self: Any, scope: Any, receive: Any, send: Any) -> None:  # noqa: N807
            if _patches.active:
                await asgi.follow(functools.partial(original, self), scope, receive, send)
            else:
                await original(self, scope, receive, send)

        return __call__

    _patches.replace(module.Starlette, "__call__", make)


@_patches.on_import("flask.app")
def _flask(module: ModuleType) -> None:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def __call__(self: Any, environ: Any, start_response: Any) -> Any:  # noqa: N807
            if _patches.active:
                return wsgi.follow(functools.partial(original, self), environ, start_response)
            return original(self, environ, start_response)

        return __call__

    _patches.replace(module.Flask, "__call__", make)
