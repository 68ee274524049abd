"""Where the middlewares are put: around what servers have loaded, and around the frameworks' applications."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import flask
import gunicorn.workers.base
import gunicorn.workers.gasgi
import gunicorn.workers.gthread
import gunicorn.workers.sync
import hypercorn.app_wrappers
import hypercorn.utils
import pytest
import starlette.applications
import uvicorn
import werkzeug.serving
from fastapi import FastAPI
from starlette.applications import Starlette

from otel_logging import trouble
from otel_logging.calls import asgi, servers, wsgi
from otel_logging.calls.call import current_call
from otel_logging.calls.patching import Patches

SID = "CA" + "e5" * 16


@pytest.fixture
def installed():
    """The patches are in place for the test."""
    servers.install()
    yield
    servers.uninstall()


async def asgi_app(scope, receive, send): ...


def wsgi_app(environ, start_response):
    return []


def loaded(app, **settings):
    config = uvicorn.Config(app, log_config=None, **settings)
    config.load()
    return config.loaded_app


@pytest.mark.usefixtures("installed")
class TestServers:
    @pytest.mark.parametrize("app", [asgi_app, Starlette(), FastAPI()])
    def test_uvicorn(self, app):
        """Whatever uvicorn has loaded is wrapped outermost, once."""
        wrapped = loaded(app)
        assert isinstance(wrapped, asgi.CallMiddleware)
        assert not isinstance(wrapped.app, asgi.CallMiddleware)

    def test_uvicorn_factory(self):
        """An application made by a factory is wrapped, not the factory."""
        assert isinstance(loaded(lambda: asgi_app, factory=True), asgi.CallMiddleware)

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    def test_uvicorn_wsgi(self):
        """A WSGI application under uvicorn is an ASGI one by the time it is wrapped."""
        wrapped = loaded(wsgi_app, interface="wsgi")
        assert isinstance(wrapped, asgi.CallMiddleware)

    def test_hypercorn(self):
        """Both kinds of applications get their kind of middleware."""
        assert isinstance(hypercorn.utils.wrap_app(asgi_app, 100, None).app, asgi.CallMiddleware)
        assert isinstance(hypercorn.utils.wrap_app(wsgi_app, 100, None).app, wsgi.CallMiddleware)

    @pytest.mark.parametrize("worker", [gunicorn.workers.sync.SyncWorker, gunicorn.workers.gthread.ThreadWorker])
    def test_gunicorn(self, worker):
        """The workers that call the application themselves call a wrapped one."""
        made = object.__new__(worker)
        made.app = SimpleNamespace(wsgi=lambda: wsgi_app)
        made.load_wsgi()
        assert isinstance(made.wsgi, wsgi.CallMiddleware)

    def test_gunicorn_asgi(self):
        """Its ASGI worker too."""
        made = object.__new__(gunicorn.workers.gasgi.ASGIWorker)
        made.app = SimpleNamespace(wsgi=lambda: asgi_app)
        made.load_wsgi()
        assert isinstance(made.asgi, asgi.CallMiddleware)

    @pytest.mark.parametrize("app", [asgi_app, wsgi_app])
    def test_gunicorn_with_uvicorn_workers(self, app):
        """A worker that hands the application on to a server hands it on as it is; the server wraps it."""
        from uvicorn_worker import UvicornWorker

        made = object.__new__(UvicornWorker)
        made.app = SimpleNamespace(wsgi=lambda: app)
        made.load_wsgi()
        assert made.wsgi is app

    def test_werkzeug(self):
        """The development server, with whatever options, serves a wrapped application."""
        server = werkzeug.serving.make_server("127.0.0.1", 0, wsgi_app, threaded=True)
        try:
            assert isinstance(server.app, wsgi.CallMiddleware)
        finally:
            server.server_close()


@pytest.mark.usefixtures("installed")
class TestFrameworks:
    @pytest.mark.parametrize("framework", [Starlette, FastAPI])
    def test_asgi_frameworks_under_any_server(self, framework):
        """A Starlette or FastAPI application follows calls under a server that we do not know."""
        seen = []
        app = framework()

        async def endpoint(scope, receive, send):
            seen.append(current_call().call_sid)

        app.mount("/", endpoint)
        scope = {"type": "http", "path": "/", "method": "GET", "query_string": b"", "root_path": ""}
        scope["headers"] = [(b"x-call-sid", SID.encode())]

        async def none(*_):
            return {}

        asyncio.run(app(scope, none, none))
        assert seen == [SID]

    def test_starlette_is_still_recognised(self):
        """Servers recognise ASGI 3 by a coroutine function: it is one."""
        assert inspect.iscoroutinefunction(Starlette().__call__)

    def test_flask_under_any_server(self):
        """A Flask application follows calls under a server that we do not know, and in its own test client."""
        seen = []
        app = flask.Flask("x")
        app.add_url_rule("/", "index", lambda: seen.append(current_call().call_sid) or "ok")
        assert app.test_client().get("/", headers={"X-Call-Sid": SID}).text == "ok"
        assert seen == [SID]


class TestUndo:
    def test_all_is_as_before(self):
        """Installing, uninstalling and installing again leaves no layers behind."""
        owners = [
            (uvicorn.Config, "load"),
            (hypercorn.app_wrappers.ASGIWrapper, "__init__"),
            (hypercorn.app_wrappers.WSGIWrapper, "__init__"),
            (gunicorn.workers.base.Worker, "load_wsgi"),
            (gunicorn.workers.gasgi.ASGIWorker, "load_wsgi"),
            (werkzeug.serving.BaseWSGIServer, "__init__"),
            (starlette.applications.Starlette, "__call__"),
            (flask.Flask, "__call__"),
        ]
        before = [vars(owner)[name] for owner, name in owners]
        for _ in range(2):
            servers.install()
            servers.install()
            assert all(vars(owner)[name] is not old for (owner, name), old in zip(owners, before, strict=True))
            servers.uninstall()
            assert [vars(owner)[name] for owner, name in owners] == before

    def test_under_a_strangers_patch_ours_becomes_inert(self, monkeypatch):
        """Where somebody patched on top of us, nothing is torn out and nothing is followed any more."""
        monkeypatch.setattr(flask.Flask, "__call__", flask.Flask.__call__)  # put back afterwards
        servers.install()
        ours = flask.Flask.__call__

        def strangers(self, environ, start_response):
            return ours(self, environ, start_response)

        flask.Flask.__call__ = strangers
        servers.uninstall()
        assert flask.Flask.__call__ is strangers
        seen = []
        app = flask.Flask("x")
        app.add_url_rule("/", "index", lambda: seen.append(current_call()) or "ok")
        app.test_client().get("/", headers={"X-Call-Sid": SID})
        assert seen == [None]

    def test_nothing_is_imported(self):
        """Installing imports no server and no framework, and patches them once they come."""
        code = """
import sys
from otel_logging.calls import servers
servers.install()
for name in ("uvicorn", "hypercorn", "gunicorn", "werkzeug", "starlette", "flask", "opentelemetry.sdk"):
    assert name not in sys.modules, name
import uvicorn
config = uvicorn.Config(lambda scope: None, log_config=None)
config.load()
print(type(config.loaded_app).__module__)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
        assert (done.stdout, done.returncode) == ("otel_logging.calls.asgi\n", 0), done.stderr


class TestPatches:
    def test_a_library_that_looks_different(self, monkeypatch, capsys):
        """A library without what we patch is reported, imported, and left as it is."""
        patches = Patches("test")
        module = ModuleType("some_library_of_the_future")
        monkeypatch.setitem(sys.modules, module.__name__, module)

        @patches.on_import(module.__name__)
        def patch(module):
            patches.replace(module.Server, "load", lambda original: original)

        patches.install()
        assert trouble.counts() == {"patch_failed": 1}
        assert "some_library_of_the_future" in capsys.readouterr().err
