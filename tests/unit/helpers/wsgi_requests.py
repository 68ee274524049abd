"""WSGI environs made by hand, and what a server does with them."""

from __future__ import annotations

import io
from urllib.parse import urlencode

from otel_logging.calls.call import current_call
from otel_logging.calls.wsgi import CallMiddleware

SID = "CA" + "c3" * 16
OTHER = "CA" + "d4" * 16


def webhook(*, length=True, **fields):
    """The environ of a Twilio webhook with these form fields."""
    data = urlencode(fields).encode()
    environ = {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/voice",
        "QUERY_STRING": "",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "wsgi.input": io.BytesIO(data),
    }
    return {**environ, "CONTENT_LENGTH": str(len(data))} if length else environ


def get(path="/", query="", **headers):
    return {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query, **headers}


def serve(app, environ):
    """Do what a server does: call, iterate, close. Returns the body."""
    response = CallMiddleware(app)(environ, lambda *_: None)
    try:
        return b"".join(response)
    finally:
        if hasattr(response, "close"):
            response.close()


def sid():
    held = current_call()
    return held.call_sid if held is not None else None
