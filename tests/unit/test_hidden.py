"""The promises of otel_logging.hidden."""

from __future__ import annotations

import pytest

from otel_logging import hidden

SECRET = "c4n4ry/t0k€n+1"


@pytest.fixture(autouse=True)
def nothing_told(monkeypatch):
    """No secret of another test is known."""
    monkeypatch.setattr(hidden, "_told", {})


class TestShown:
    @pytest.mark.parametrize(
        ("name", "value", "text"),
        [
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=1,Authorization=Bearer%20c4n4ryToken", "got 'Bearer c4n4ryToken'"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization: Bearer c4n4ryToken", "invalid: Authorization: Bearer c4n4ryToken"),
            ("OTEL_EXPORTER_OTLP_LOGS_HEADERS", "c4n4ryToken", "no name=value: c4n4ryToken"),
            ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x=c4n4ry%0Atoken", r"bad value 'c4n4ry\ntoken'"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:c4n4ryWord@host/", "no route to me:c4n4ryWord@host"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:c4n4ryWord@host/", "nonnumeric port: 'c4n4ryWord@host'"),
            ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "https://h/v1?key=c4n4ry%2Fkey", "GET /v1?key=c4n4ry/key failed"),
            ("OTEL_LOGGING_CONTROL", "https://h/x?token=c4n4ryToken", "url: /x?token=c4n4ryToken"),
            ("OTEL_LOGGING_CONTROL_TOKEN", " c4n4ryToken ", "header c4n4ryToken"),
            ("OTEL_LOGGING_PSEUDONYM_KEY", "c4n4ry key", "key c4n4ry key"),
            ("https_proxy", "http://me:c4n4ryWord@proxy:3128", "cannot connect to proxy me:c4n4ryWord@proxy"),
            ("OTEL_NOTHING", "x", "any https://me:c4n4ry@host/path"),
        ],
    )  # fmt: skip
    def test_what_variables_hold(self, monkeypatch, name, value, text):
        """What the variables hold is hidden, as it stands there, decoded, escaped and in parts; the rest is shown."""
        monkeypatch.setenv(name, value)
        shown = hidden.shown(text)
        assert "c4n4ry" not in shown
        assert hidden.MASK in shown
        assert shown.split()[0] == text.split()[0]

    def test_what_is_told(self):
        """What came as an argument is hidden too, in every spelling."""
        text = f"{SECRET} {SECRET!r} {SECRET.encode('ascii', 'backslashreplace').decode()}"
        assert hidden.shown(text) == text
        hidden.hide(SECRET)
        assert hidden.shown(text) == f"{hidden.MASK} '{hidden.MASK}' {hidden.MASK}"

    def test_ordinary_text_stays(self, monkeypatch):
        """Short values and the word Bearer are no secrets; a text without secrets is shown as it is."""
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "a=1,tenant=acme,Authorization=Bearer%20c4n4ryToken")
        text = "the OTLP endpoint http://acme:4318/v1/logs refuses us (401); check the Bearer token"
        assert hidden.shown(text) == text

    def test_values_of_settings(self):
        """Of a URL that is shown as a wrong value, user, password and query are left out."""
        assert hidden.shown_value("http://me:pw@host/x?token=abc") == "http://***@host/x?***"
        assert hidden.shown_value("what? no/url") == "what? no/url"
