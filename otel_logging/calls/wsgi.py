"""WSGI middleware: the call in force while a request is answered, its body is produced and its response closed.

It watches the form as the application reads it and takes nothing away. If the middleware itself fails, the application
is called as if it were not there. What names a call is said in `request` and `twilio`; how the middleware gets around
an application, in `servers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from otel_logging import trouble
from otel_logging.bridge import scope as slot
from otel_logging.calls import request as requests
from otel_logging.calls import twilio
from otel_logging.calls.activation import restore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from otel_logging.bridge.scope import CallScope
    from otel_logging.calls.request import Request

    Environ = dict[str, Any]
    App = Callable[[Environ, Any], Iterable[bytes]]


class CallMiddleware:
    """A WSGI application around another that puts the call in force for each request.

    Wrapping twice, or within an ASGI application that is followed already, does nothing more than wrapping once.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    def __call__(self, environ: Environ, start_response: Any) -> Iterable[bytes]:
        """Answer one request."""
        return follow(self.app, environ, start_response)

    def __getattr__(self, name: str) -> Any:
        """The wrapped application's own attributes, for code that looks at what a server has loaded."""
        if name == "app":  # not set yet: being unpickled or copied
            raise AttributeError(name)
        return getattr(self.app, name)


def follow(app: App, environ: Environ, start_response: Any) -> Iterable[bytes]:
    """Call `app` once, with the call in force that the headers, the URL or the form name."""
    outer = environ.get("asgi.scope")
    if requests.MARK in environ or (outer is not None and requests.MARK in outer):
        return app(environ, start_response)
    request = _begin(environ)
    environ[requests.MARK] = True  # also where nothing was found, or the framework's wrapper would look again
    try:
        return app(environ, start_response) if request is None else _within(request, app, environ, start_response)
    finally:
        environ.pop(requests.MARK, None)


def _within(request: Request, app: App, environ: Environ, start_response: Any) -> Iterable[bytes]:
    token = slot.current.set(request.call)
    try:
        response = app(environ, start_response)
    except BaseException as error:
        restore(token, request.call)
        request.finish(error)
        raise
    inner = slot.current.get()
    restore(token, request.call)
    file_wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(response, (list, tuple)) or (isinstance(file_wrapper, type) and isinstance(response, file_wrapper)):
        # All is produced: the application's code is done, and the server may look at what it got.
        request.finish()
        return response
    kind = _SizedResponse if hasattr(response, "__len__") else _Response
    return kind(response, request, inner)


def _begin(environ: Environ) -> Request | None:
    try:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        query = environ.get("QUERY_STRING", "")
        carried, header = environ.get("HTTP_BAGGAGE"), environ.get("HTTP_X_CALL_SID")
        if requests.followed_outside(path, query, carried, header):
            return None
        length = environ.get("CONTENT_LENGTH") or None
        begun = requests.begin(path, query, carried, header, content_type=environ.get("CONTENT_TYPE"), length=length)
        if begun is None:
            return None
        if begun.reading and "wsgi.input" in environ:
            environ["wsgi.input"] = _Input(environ["wsgi.input"], begun)
        return begun
    except Exception as error:
        trouble.report("carrier_failed", f"a request could not be looked at ({error!r}); it is served without its call")
        return None


class _Input:
    """`wsgi.input`, watched. Everything it can do, it does as before."""

    def __init__(self, stream: Any, request: Request) -> None:
        self._stream = stream
        self._request = request

    def read(self, *args: Any) -> bytes:
        return self._passed(self._stream.read(*args), asked=not args or args[0] != 0)

    def readline(self, *args: Any) -> bytes:
        return self._passed(self._stream.readline(*args), asked=not args or args[0] != 0)

    def readlines(self, *args: Any) -> list[bytes]:
        lines: list[bytes] = self._stream.readlines(*args)
        self._passed(b"".join(lines), asked=True)
        return lines

    def __iter__(self) -> Iterator[bytes]:
        for line in self._stream:
            yield self._passed(line, asked=True)
        self._passed(b"", asked=True)

    def _passed(self, data: bytes, *, asked: bool) -> bytes:
        if self._request.reading and asked:
            # Nothing although something was asked for: the body has ended.
            self._request.look(data if len(data) <= twilio.BODY_LIMIT else data[: twilio.BODY_LIMIT + 1], last=not data)
        return data

    def _readinto(self, buffer: Any) -> int:
        size: int = self._stream.readinto(buffer)
        self._passed(bytes(memoryview(buffer).cast("B")[: size or 0]), asked=len(buffer) > 0)
        return size

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._stream, name)  # only what the stream has, so that hasattr() stays truthful
        return self._readinto if name == "readinto" else value


class _Response:
    """A response produced piece by piece, each piece within the call; `close()` ends the request."""

    def __init__(self, response: Any, request: Request, inner: CallScope | None) -> None:
        self._response = response
        self._request = request
        self._inner = inner  # the call in force where the application's code was left: often ours, not always
        self._pieces: Iterator[bytes] | None = None
        self._error: BaseException | None = None

    def __iter__(self) -> _Response:
        return self

    def __next__(self) -> bytes:
        if self._pieces is None:
            self._pieces = self._within(self._response.__iter__)
        piece: bytes = self._within(self._pieces.__next__)
        return piece

    def close(self) -> None:
        """As the server says: the response is done or given up."""
        try:
            close = getattr(self._response, "close", None)
            if close is not None:
                self._within(close)
        finally:
            self._request.finish(self._error)
            self._error = None

    def _within(self, step: Callable[[], Any]) -> Any:
        token = slot.current.set(self._inner)
        try:
            return step()
        except BaseException as error:
            if not isinstance(error, StopIteration):
                self._error = error
            raise
        finally:
            self._inner = slot.current.get()
            _reset(token)

    def __getattr__(self, name: str) -> Any:
        if name == "_response":
            raise AttributeError(name)
        return getattr(self._response, name)


class _SizedResponse(_Response):
    def __len__(self) -> int:
        return len(self._response)


def _reset(token: Any) -> None:
    try:
        slot.current.reset(token)
    except (ValueError, RuntimeError):
        pass  # another context than it was set in: there is nothing of ours to undo there
