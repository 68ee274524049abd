"""One HTTP request and the call it belongs to: what names it, at once or while its body passes by, and what ends it.

Shared by the ASGI and the WSGI middleware, which know how a request's parts are reached. What the parts mean is said
in `twilio` and `baggage`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from otel_logging import trouble
from otel_logging.calls import baggage, twilio
from otel_logging.calls.call import Call, current_call, open_call

if TYPE_CHECKING:
    from collections.abc import Iterator

WEBHOOK: Final = "webhook"  # a form may name the call
REQUEST: Final = "request"  # the URL or a header named it
CALL_HEADER: Final = "x-call-sid"
MARK: Final = "otel_logging.followed"  # in an ASGI scope or WSGI environ: this request is followed already


def candidates(path: str, query: str, carried: str | None, header: str | None) -> Iterator[tuple[str, str]]:
    """What the first line and the headers say, best first: pairs of a call id, not yet judged, and its source."""
    if header and header.strip():
        yield header.strip(), "header X-Call-Sid"
    found = baggage.parse(carried)
    if found is not None:
        yield found, "baggage"
    found = twilio.from_url(path, query).call_sid
    if found is not None:
        yield found, "the URL"


def is_form(content_type: str | None) -> bool:
    """True for the content type of Twilio's webhooks."""
    return content_type is not None and content_type[: len(twilio.FORM_TYPE)].lower() == twilio.FORM_TYPE


def followed_outside(path: str, query: str, carried: str | None, header: str | None) -> bool:
    """True if a middleware of ours around this one follows the same request: an application mounted in another."""
    held = current_call()
    if held is None or held.ended or held.origin not in {WEBHOOK, REQUEST}:
        return False
    told = next((call_sid for call_sid, _ in candidates(path, query, carried, header)), None)
    return told is None or held.call_sid is None or held.call_sid == told


class Request:
    """A request that belongs to a call, or may turn out to. `call` is to be in force while it is answered."""

    __slots__ = ("_form", "_status", "call")

    def __init__(self, call: Call, form: twilio.FormWatcher | None, status: str | None) -> None:
        self.call = call
        self._form = form
        self._status = status

    @property
    def reading(self) -> bool:
        """True while the body may still tell something."""
        return self._form is not None

    def look(self, chunk: bytes, *, last: bool = False) -> None:
        """The application has read this much more of the body. Never raises."""
        form = self._form
        if form is None:
            return
        try:
            known = form.call_sid is not None
            form.feed(chunk, last=last)
            if form.call_sid is not None and not known and self.call.call_sid is None:
                self.call.name(form.call_sid, "form field CallSid")
            if form.done:
                self._form = None
                if form.call_sid is None or form.call_sid == self.call.call_sid:
                    self._status = form.status or self._status
                if self.call.call_sid is None:
                    self.call.leave("unnamed")  # no name will come: nothing needs to wait any longer
        except Exception as error:
            self._form = None
            trouble.report("carrier_failed", f"a webhook's body could not be looked at ({error!r})")

    def finish(self, error: BaseException | None = None) -> None:
        """The request is answered, or `error` left it. The call goes on, unless the carrier said that it is over."""
        try:
            form = self._form
            if form is not None and form.call_sid is not None and form.call_sid == self.call.call_sid:
                self._status = form.status or self._status
            self.call.leave("answered", error=error if isinstance(error, Exception) else None)
            if self._status is not None and twilio.is_over(self._status) and self.call.call_sid is not None:
                self.call.end(self._status)
        except Exception as trouble_of_ours:
            trouble.report("carrier_failed", f"a request's call could not be left ({trouble_of_ours!r})")


def begin(
    path: str, query: str, carried: str | None, header: str | None, *, content_type: str | None, length: str | None
) -> Request | None:
    """The `Request` for a request with these parts; None if nothing in it can name a call.

    `carried` is the `baggage` header, `header` is `X-Call-Sid`, `length` the announced length of the body.
    """
    form = is_form(content_type) and length != "0"
    call: Call | None = None
    named = False
    for call_sid, source in candidates(path, query, carried, header):
        call = call or open_call(origin=WEBHOOK if form else REQUEST, wait=form)
        named = call.name(call_sid, source)
        if named:
            break
    if not named and not form:
        if call is not None:
            call.leave("refused")
        return None
    known = int(length) if length is not None and length.isdecimal() and len(length) < 16 else None
    status = twilio.from_url(path, query).status if query else None
    return Request(call or open_call(origin=WEBHOOK), twilio.FormWatcher(known) if form else None, status)
