"""The routes of `otel-logging serve`: the calls, one call, its events, its file. All of them only read.

Reading a store blocks, so every route that does is a plain function, which Starlette runs on a thread. Who may come in
is decided around this application, in `access`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from otel_logging.search import clock
from otel_logging.search.one_call import Ambiguous, NotFound, find_call
from otel_logging.search.overview import Overview, Summary, overview
from otel_logging.search.spans import end_reasons
from otel_logging.search.tail import Tail
from otel_logging.search.text import harmless
from otel_logging.web import page
from otel_logging.web.follow import Follower

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request

    from otel_logging.search.call_view import CallView

STATIC = {
    "page.js": ((page.MODULE,), "text/javascript"),
    "uplot.js": ((page.UPLOT,), "text/javascript"),
    "icon.svg": (("icon.svg",), "image/svg+xml"),
}
_LISTED = 50  # calls on a page
_SPARKS = 10  # sparklines in one request
_SPARK_SECONDS = 1.0  # spent on them; a store without an index is read once for each
FIRST_PAINT = 0.15  # seconds that a browser is left to paint the first screenful before it gets the rest to parse
_POLL = 0.5  # seconds between looks at a live call
_ALIVE = 15.0  # seconds of silence after which a comment keeps a connection open


def application(store: Path, *, stopping: Callable[[], bool] = lambda: False) -> Starlette:
    """The application over one store; `stopping` says when open streams have to end."""
    routes = _Routes(store, stopping)
    return Starlette(
        routes=[
            Route("/", routes.calls),
            Route("/call", routes.call),
            Route("/call/{id:path}", routes.call),
            Route("/events", routes.events),
            Route("/download", routes.download),
            Route("/find", routes.find),
            Route("/sparks", routes.sparks),
            Route("/static/{name}", routes.static),
        ],
        exception_handlers={404: _not_there, 500: _broken},
    )


class _Routes:
    def __init__(self, store: Path, stopping: Callable[[], bool]) -> None:
        self._store = store
        self._stopping = stopping
        self._overviews = _Overviews(store)

    def calls(self, request: Request) -> Response:
        """The calls of the store, newest first."""
        words = request.query_params
        problem, since = "", None
        if words.get("since", "").strip():
            try:
                since = clock.parse_moment(words["since"], clock.now())
            except ValueError as error:
                problem = harmless(str(error))
        view = self._overviews.now()
        service = words.get("service", "")
        found = [
            call
            for call in view.calls
            if (since is None or call.last >= since)
            and (not service or service in call.services)
            and (not words.get("errors") or call.errors)
        ]
        most = int(words["limit"]) if words.get("limit", "").isdecimal() and len(words["limit"]) < 7 else _LISTED
        now = clock.now()
        more = ""
        if len(found) > most:
            more = f"/?{_query(words, limit=str(most * 4))}"
        text = page.render(
            "calls.html",
            calls=[Line.of(call, now) for call in found[:most]],
            total=len(found),
            services=sorted(harmless(name) for name in view.services if name),
            asked={"since": words.get("since", ""), "service": service, "errors": bool(words.get("errors"))},
            problem=problem,
            more=more,
            searched=page.searched_line(view.searched),
        )
        return HTMLResponse(text)

    def call(self, request: Request) -> Response:
        """One call, whatever was pasted for it."""
        place = Tail(self._store).place()  # before the call is read: nothing that comes later may be missed
        start = request.query_params.get("start", "")
        found = self._find(_pasted(request))
        if isinstance(found, Response):
            return found
        first = int(start) if start.isdecimal() and len(start) < 10 else 0
        pieces = page.render_call(found, cursor=place, start=first)
        return StreamingResponse(paced(pieces), media_type="text/html")

    def download(self, request: Request) -> Response:
        """One call as a file of its own."""
        found = self._find(_pasted(request))
        if isinstance(found, Response):
            return found
        name = "".join(char if char.isascii() and char.isalnum() else "-" for char in found.call_sid or "trace")[:80]
        headers = {"content-disposition": f'attachment; filename="call-{name}.html"'}
        return HTMLResponse(page.render_call_html(found), headers=headers)

    def find(self, request: Request) -> Response:
        """From the box at the top to the call's own address."""
        pasted = request.query_params.get("id", "").strip()
        return RedirectResponse(page.call_path(pasted) if pasted else "/", status_code=303)

    async def events(self, request: Request) -> Response:
        """What happens in a live call, as server-sent events."""
        place = request.headers.get("last-event-id") or request.query_params.get("after", "")
        try:
            follower = await asyncio.to_thread(Follower, self._store, _pasted(request), place)
        except (NotFound, Ambiguous):
            return Response("no such call", status_code=404)
        except ValueError:
            return Response("no such place", status_code=400)
        return StreamingResponse(self._stream(follower, request), media_type="text/event-stream")

    async def _stream(self, follower: Follower, request: Request) -> AsyncIterator[str]:
        yield "retry: 2000\n\n"
        quiet = time.monotonic()
        while not self._stopping() and not await request.is_disconnected():
            sent = await asyncio.to_thread(lambda: "".join(follower.events()))
            if sent:
                yield sent
                quiet = time.monotonic()
                if "\nevent: end\n" in sent:
                    return
            elif time.monotonic() - quiet > _ALIVE:
                yield ": still here\n\n"
                quiet = time.monotonic()
            await asyncio.sleep(_POLL)

    def sparks(self, request: Request) -> Response:
        """The sparklines of some calls, in the order asked for; null for those that are to be asked for again."""
        until = time.monotonic() + _SPARK_SECONDS
        wanted = request.query_params.getlist("id")[:_SPARKS]
        found: list[dict[str, str] | None] = [self._spark(pasted) for pasted in wanted[:1]]  # progress, however slow
        found += [self._spark(pasted) if time.monotonic() < until else None for pasted in wanted[1:]]
        return JSONResponse(found)

    def _spark(self, pasted: str) -> dict[str, str]:
        try:
            return spark(find_call(self._store, pasted))
        except (NotFound, Ambiguous):
            return {}

    async def static(self, request: Request) -> Response:
        """Our own files, by a fixed list: no path is ever made of what was asked for."""
        found = STATIC.get(request.path_params["name"])
        if found is None:
            return _not_there(request, None)
        names, kind = found
        return Response("".join(map(page.static, names)), media_type=kind)

    def _find(self, pasted: str) -> CallView | Response:
        try:
            return find_call(self._store, pasted)
        except NotFound as error:
            sentence = "Is this the store that the service writes to? Paste a call id, a trace id or the start of one."
            searched = page.searched_line(error.searched)
            return _message(404, f"Nothing found for {harmless(pasted)}", sentence, searched=searched)
        except Ambiguous as error:
            choices = [
                {
                    "href": page.call_path(choice.name),
                    "name": harmless(choice.name),
                    "started": clock.local(choice.first)[:19] if choice.first else "",
                    "services": harmless(", ".join(sorted(choice.services))),
                }
                for choice in error.candidates[:_LISTED]
            ]
            title = f"{harmless(pasted)} fits {len(error.candidates):,} calls"
            return _message(300, title, "Which one is meant?", choices=choices)


@dataclass(slots=True)
class Line:
    """One call of the list, ready to print."""

    name: str
    href: str
    started: str
    lasted: str
    records: int
    recovered: int
    warnings: int
    errors: int
    state: str
    ended: str
    services: str

    @classmethod
    def of(cls, call: Summary, now: int) -> Line:
        """The line of a call."""
        ends = end_reasons(call.ends)
        hung_up = next((span.end_reason for span in call.ends if span.hung_up), next(iter(ends.values()), ""))
        return cls(
            name=harmless(call.call_sid),
            href=page.call_path(call.call_sid),
            started=clock.local(call.first)[:19] if call.first else "?",
            lasted=clock.duration(call.last - call.first),
            records=call.records - call.recovered,
            recovered=call.recovered,
            warnings=call.levels["WARNING"],
            errors=call.errors,
            state=call.state(now),
            ended=harmless(hung_up),
            services=harmless(", ".join(sorted(call.services))),
        )


class _Overviews:
    """The overview of a store, made anew only when its files have changed."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._made: tuple[object, Overview] | None = None

    def now(self) -> Overview:
        with self._lock:
            mark = self._mark()
            if self._made is None or self._made[0] != mark:
                self._made = (mark, overview(self._store))
            return self._made[1]

    def _mark(self) -> object:
        return [(path.name, *_size(path)) for folder in ("logs", "traces") for path in _inside(self._store / folder)]


def _inside(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:  # not there yet
        return []


def _size(path: Path) -> tuple[int, int]:
    try:
        facts = path.lstat()
    except OSError:  # deleted meanwhile
        return (0, 0)
    return facts.st_size, facts.st_mtime_ns


def spark(view: CallView, *, width: int = 140, height: int = 24) -> dict[str, str]:
    """SVG paths: records over the call's time, and ticks where there were errors."""
    columns = width // 3
    counts, errors = [0] * columns, [0] * columns
    length = max(view.last - view.first, 1)
    for record in view.records:
        if record.time:
            at = min((record.time - view.first) * columns // length, columns - 1)
            counts[at] += 1
            errors[at] += record.level in {"ERROR", "CRITICAL"}
    most = max(counts, default=0).bit_length() or 1

    def path(bins: list[int], full: int) -> str:
        high = [full or max(count.bit_length() * (height - 3) // most, 2) for count in bins]
        return "".join(
            f"M{at * 3 + 1.5:g} {height - 1}v-{tall}"
            for at, (count, tall) in enumerate(zip(bins, high, strict=True))
            if count
        )

    return {"kept": path(counts, 0), "e": path(errors, height - 3)}


async def paced(pieces: Iterator[str]) -> AsyncIterator[str]:
    """The pieces of a page; after the first, the browser gets the time to paint it."""
    pause = FIRST_PAINT
    async for piece in iterate_in_threadpool(pieces):
        yield piece
        await asyncio.sleep(pause)
        pause = 0.0


def _pasted(request: Request) -> str:
    return str(request.path_params.get("id") or request.query_params.get("id", ""))


def _query(words: Any, **changed: str) -> str:
    from urllib.parse import urlencode

    return urlencode({**dict(words), **changed})


def _message(
    status: int, title: str, sentence: str, *, choices: list[dict[str, str]] | None = None, searched: str = ""
) -> Response:
    text = page.render("message.html", title=title, sentence=sentence, choices=choices or [], searched=searched)
    return HTMLResponse(text, status_code=status)


def _not_there(_request: Request, _error: Exception | None) -> Response:
    return _message(404, "Nothing here", "The calls are at the start page.")


def _broken(_request: Request, error: Exception) -> Response:
    sentence = "The page could not be made. The terminal shows why."
    return HTMLResponse(page.plain("That went wrong", f"{sentence} ({type(error).__name__})"), status_code=500)
