"""`search/cloudwatch.py` against an emulator of AWS, and against answers that the emulator does not give.

The emulator takes plain terms only: every other pattern or query it answers with all events. So these tests also see
that what comes back is checked, and `test_cloudwatch_query` that what is asked is right.
"""

from __future__ import annotations

import json
import time

import pytest

from otel_logging.search.cloudwatch import CloudWatch, Settings
from otel_logging.search.one_call import NotFound, find_call
from otel_logging.search.query import Query, search
from otel_logging.search.source import Ask, Asked, Ids, Several

boto3 = pytest.importorskip("boto3")

SID, TRACE, OTHER = "CA" + "a1" * 16, "a1" * 16, "CA" + "b2" * 16
HOUR = 3600 * 10**9


@pytest.fixture(scope="module")
def server():
    """An AWS on loopback."""
    from moto.server import ThreadedMotoServer

    made = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    made.start()
    yield f"http://127.0.0.1:{made.get_host_and_port()[1]}"
    made.stop()


@pytest.fixture
def aws(server, monkeypatch):
    """A client of that AWS, with nothing in it; its address is `aws.url`."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "x"), ("AWS_SECRET_ACCESS_KEY", "y"), ("AWS_EC2_METADATA_DISABLED", "true"),
        ("AWS_CONFIG_FILE", "/nowhere"), ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"), ("AWS_REGION", "us-east-1"),
    ):  # fmt: skip
        monkeypatch.setenv(name, value)
    client = boto3.client("logs", endpoint_url=server, region_name="us-east-1")
    client.url = server
    yield client
    for group in client.describe_log_groups()["logGroups"]:
        client.delete_log_group(logGroupName=group["logGroupName"])


def fill(client, group, *events, stream="s", back=60):
    """Put events (texts or mappings), a second apart, the first `back` seconds ago."""
    client.create_log_group(logGroupName=group)
    client.create_log_stream(logGroupName=group, logStreamName=stream)
    start = int((time.time() - back) * 1000)
    client.put_log_events(
        logGroupName=group,
        logStreamName=stream,
        logEvents=[
            {"timestamp": start + number * 1000, "message": event if isinstance(event, str) else json.dumps(event)}
            for number, event in enumerate(events)
        ],
    )


def put(body, call=None, trace=None, number=9, service="media"):
    """As the Collector's `awscloudwatchlogs` exporter writes it."""
    return {
        "body": body, "severity_number": number, "attributes": {"call_sid": call} if call else {},
        **({"trace_id": trace} if trace else {}), "resource": {"service.name": service},
    }  # fmt: skip


def otlp(body, call, service="media"):
    """As CloudWatch's OTLP endpoint stores it."""
    return {
        "resource": {"attributes": {"service.name": service}}, "timeUnixNano": time.time_ns() - 30 * 10**9,
        "severityNumber": 13, "body": body, "attributes": {"call_sid": call}, "traceId": TRACE,
    }  # fmt: skip


def console(body, call, service="worker"):
    """As `LOG_JSON=1` prints it."""
    now = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(time.time() - 20))
    return {"timestamp": now, "level": "ERROR", "message": body, "call_sid": call, "service": service}


def source(client, *groups, method="auto", name="aws", **more):
    settings = Settings(log_groups=groups, endpoint=client.url, method=method, **more)
    return Several([CloudWatch(name, settings, pause=lambda _: None)])


def bodies(result):
    return [record.body for block in result.blocks for record in block.records]


def recent(**filters):
    return Query(since=time.time_ns() - HOUR, **filters)


@pytest.mark.parametrize("method", ["filter", "insights"])
class TestCall:
    def test_every_shape_in_every_group(self, aws, method):
        """One call out of several groups, whatever wrote its records; other calls' records are left out."""
        fill(aws, "/voice/media", put("start", SID, TRACE), put("other", OTHER), put("by trace", None, TRACE))
        fill(aws, "/voice/worker", otlp("otlp", SID), console("line", SID), console("not mine", OTHER), "plain text")
        view = find_call(source(aws, "/voice/*", method=method), SID, since=time.time_ns() - HOUR)
        assert [record.body for record in view.records] == ["start", "by trace", "otlp", "line"]
        assert view.levels == {"INFO": 2, "WARNING": 1, "ERROR": 1}
        assert view.services == {"media": 3, "worker": 1}
        assert view.searched.failed == []

    def test_nothing(self, aws, method):
        """A call that is not there is not found, and what was searched is said."""
        fill(aws, "/voice/media", put("other", OTHER))
        with pytest.raises(NotFound) as caught:
            find_call(source(aws, "/voice/media", method=method), SID, since=time.time_ns() - HOUR)
        assert caught.value.searched.asked[0].startswith("aws: 1 log group by ")

    def test_filters(self, aws, method):
        """The words of a search mean the same here as in the store."""
        fill(
            aws, "/g", put("No answer", SID, number=17), put("no answer", OTHER, service="w"), put("fine", SID), "no answer"
        )  # fmt: skip
        place = source(aws, "/g", method=method)
        assert bodies(search(place, recent(text="NO ANSWER"))) == ["No answer", "no answer", "no answer"]
        assert bodies(search(place, recent(level="error"))) == ["No answer"]
        assert bodies(search(place, recent(services=("w",)))) == ["no answer"]
        assert bodies(search(place, recent(call=SID, grep="^f"))) == ["fine"]
        assert bodies(search(place, Query(since=time.time_ns() - 10**9))) == []

    @pytest.mark.parametrize("text", ['x" || $.a = "', "%' | delete * /", '{ $.a = "b" }\\'])
    def test_attacks(self, aws, method, text):
        """What is typed is looked for, and never becomes part of the question."""
        fill(aws, "/g", put(f"before {text} after", SID), put("something else", OTHER))
        place = source(aws, "/g", method=method)
        assert bodies(search(place, recent(text=text))) == [f"before {text} after"]
        assert bodies(search(place, recent(services=(text,), attrs=(("a", text),)))) == []


class TestRequests:
    """What is really sent, seen on the wire of the client."""

    @pytest.fixture
    def sent(self, aws, monkeypatch):
        """The parameters of every request made by a source of `place()`."""
        requests = []
        place = CloudWatch("aws", Settings(log_groups=("/g",), endpoint=aws.url), pause=lambda _: None)
        place._client().meta.events.register(
            "provide-client-params.cloudwatch-logs.*", lambda params, model, **_: requests.append((model.name, params))
        )
        return place, requests

    def test_the_filter_is_sent(self, aws, sent):
        """The service is asked for the call, in a range: the emulator would answer without as well."""
        fill(aws, "/g", put("x", SID))
        place, requests = sent
        find_call(Several([place]), SID, since=time.time_ns() - HOUR)
        (operation, params), *_ = requests
        assert operation == "FilterLogEvents"
        assert params["filterPattern"] == f'"{TRACE}"'
        assert params["startTime"] < params["endTime"]

    def test_a_long_range_goes_to_insights(self, aws, sent):
        """Beyond some hours one query is asked instead of page after page."""
        fill(aws, "/g", put("x", SID))
        place, requests = sent
        find_call(Several([place]), SID, since=time.time_ns() - 24 * HOUR)
        assert [operation for operation, _ in requests] == ["StartQuery", "GetQueryResults"]
        assert f'attributes.call_sid in ["{SID}", ' in requests[0][1]["queryString"]
        assert requests[0][1]["endTime"] - requests[0][1]["startTime"] >= 24 * 3600

    def test_explain_is_what_is_sent(self, aws, sent):
        """`--explain` shows the very pattern."""
        fill(aws, "/g", put("x", SID))
        place, requests = sent
        search(Several([place]), recent(text="timeout"))
        from otel_logging.search.query import Matcher

        (line,) = place.explain(Matcher(recent(text="timeout")).ask())
        assert line.endswith(requests[0][1]["filterPattern"])


class Answers:
    """A client that answers from a list, for what the emulator cannot do; an exception is raised."""

    def __init__(self, **answers):
        self.answers = {name: list(values) for name, values in answers.items()}
        self.calls = []

    def __getattr__(self, operation):
        def call(**arguments):
            self.calls.append((operation, arguments))
            answer = self.answers[operation].pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


def canned(method="filter", **answers):
    pauses = []
    place = CloudWatch("aws", Settings(log_groups=("/g",), method=method), pause=pauses.append)
    place._made = Answers(**answers)
    return place, pauses


def event(number, at=None, body="x", call=SID):
    at = number if at is None else at
    return {"eventId": str(number), "timestamp": at, "message": json.dumps(put(body, call)), "logStreamName": "s"}


def refused(code, message="no"):
    from botocore.exceptions import ClientError

    return ClientError({"Error": {"Code": code, "Message": message}}, "FilterLogEvents")


class TestPaging:
    def test_empty_pages(self):
        """A page may be empty although more follow; only the missing token ends it."""
        pages = [
            {"events": [], "nextToken": "1"}, {"events": [event(1)], "nextToken": "2"}, {"events": [], "nextToken": "3"},
            {"events": [event(2)]},
        ]  # fmt: skip
        place, _ = canned(filter_log_events=pages)
        searched = Asked()
        found = list(Several([place]).records(Ask(since=0), searched))
        assert len(found) == 2
        assert "4 pages, 2 events" in searched.asked[0]
        assert [arguments.get("nextToken") for _, arguments in place._made.calls] == [None, "1", "2", "3"]

    def test_an_event_comes_once(self):
        """Two patterns, or two pages, may bring the same event."""
        place, _ = canned(
            filter_log_events=[{"events": [event(1)], "nextToken": "1"}, {"events": [event(1), event(2)]}]
        )
        assert len(list(place.records(Ask(since=0), Asked()))) == 2

    def test_newest_first_stops_early(self):
        """Where the newest come first, no more is read than is shown; where they do not, all is read."""
        base = 1_710_000_000_000
        down = [event(number, base + number) for number in (4, 3, 2, 1)]
        for events, pages, more in ((down, 1, True), (down[::-1], 2, False)):
            place, _ = canned(filter_log_events=[{"events": events, "nextToken": "more"}, {"events": []}])
            searched = Asked()
            found = search(Several([place]), Query(since=base * 10**6, limit=2), searched=searched)
            assert [record.time // 10**6 - base for block in found.blocks for record in block.records] == [3, 4]
            assert (len(place._made.calls), searched.more) == (pages, more)
            assert place._made.calls[0][1]["startFromHead"] is False

    def test_insights_pages_and_waits(self):
        """A query is polled until it is done, and its pages are followed."""
        rows = [[{"field": "@ptr", "value": str(n)}, {"field": "@timestamp", "value": "2024-01-21 19:30:26.123"},
                 {"field": "@message", "value": json.dumps(put("x", SID))}] for n in range(3)]  # fmt: skip
        place, pauses = canned(
            "insights",
            start_query=[{"queryId": "q"}],
            get_query_results=[
                {"status": "Scheduled"},
                {"status": "Running", "results": rows[:1]},
                {"status": "Complete", "results": rows[:2], "nextToken": "t"},
                {"status": "Complete", "results": rows[2:]},
            ],
        )
        found = list(place.records(Ask(), Asked()))
        assert len(found) == 3
        assert found[0].time == 1_705_865_426_123_000_000
        assert pauses == [0.1, 0.2]

    @staticmethod
    def row(number, second):
        return [{"field": "@ptr", "value": str(number)}, {"field": "@timestamp", "value": f"2024-01-21 19:30:{second:02d}.500"},
                {"field": "@message", "value": json.dumps(put(str(number), SID))}]  # fmt: skip

    def test_insights_goes_on_behind_its_limit(self, monkeypatch):
        """A query that returns all it may is asked again for what is older, to the end; nothing comes twice."""
        monkeypatch.setattr("otel_logging.search.cloudwatch._ROWS", 2)
        answers = [[self.row(5, 50), self.row(4, 40)], [self.row(4, 40), self.row(3, 30)], [self.row(3, 30)]]
        place, _ = canned(
            "insights",
            start_query=[{"queryId": str(number)} for number in range(3)],
            get_query_results=[{"status": "Complete", "results": rows} for rows in answers],
        )
        searched = Asked()
        assert [record.body for record in place.records(Ask(since=0), searched)] == ["5", "4", "3"]
        ends = [arguments["endTime"] for operation, arguments in place._made.calls if operation == "start_query"]
        assert ends[1:] == [1_705_865_441, 1_705_865_431]
        assert not searched.more

    def test_insights_that_cannot_go_on(self, monkeypatch):
        """More events in one second than a query returns: what there is comes, and the total is a lower bound."""
        monkeypatch.setattr("otel_logging.search.cloudwatch._ROWS", 2)
        answers = [[self.row(5, 50), self.row(4, 50)]] * 2
        place, _ = canned(
            "insights",
            start_query=[{"queryId": str(number)} for number in range(2)],
            get_query_results=[{"status": "Complete", "results": rows} for rows in answers],
        )
        searched = Asked()
        assert len(list(place.records(Ask(since=0), searched))) == 2
        assert searched.more

    @pytest.mark.parametrize("method", ["filter", "insights"])
    def test_throttled_on_the_way(self, method):
        """A refusal in the middle: what had come is shown, and the reason is told."""
        throttled = refused("ThrottlingException", "Rate exceeded")
        place, _ = canned(
            method,
            filter_log_events=[{"events": [event(1)], "nextToken": "1"}, throttled],
            start_query=[{"queryId": "q"}],
            get_query_results=[{"status": "Complete", "results": [self.row(1, 1)], "nextToken": "t"}, throttled],
        )
        searched = Asked()
        assert len(list(Several([place]).records(Ask(since=0), searched))) == 1
        assert "throttles this account" in searched.failed[0]
        assert searched.missed

    def test_what_comes_back_is_checked(self):
        """Other calls' events, and events out of the range, are left out, although the service gave them, page by page."""
        pages = [{"events": [event(1, 1_000), event(2, 2_000, call=OTHER)], "nextToken": "1"},
                 {"events": [event(3, 3_000, call=OTHER), event(4, 9_000), event(5, 4_000)]}]  # fmt: skip
        place, _ = canned(filter_log_events=pages)
        ask = Ask(ids=Ids(calls=(SID,)), since=1_500 * 10**6, until=8_000 * 10**6)
        searched = Asked()
        assert [record.time // 10**6 for record in Several([place]).records(ask, searched)] == [4_000]
        assert searched.records == 5

    @pytest.mark.parametrize("status", ["Failed", "Cancelled", "Timeout"])
    def test_partial_results_are_told(self, status):
        """A query that did not end well gives what it has, and says so."""
        place, _ = canned(
            "insights", start_query=[{"queryId": "q"}], get_query_results=[{"status": status, "results": []}]
        )
        searched = Asked()
        list(Several([place]).records(Ask(), searched))
        assert status in searched.failed[0]
        assert searched.missed

    def test_too_many_queries(self):
        """A full queue of queries is waited for a few times."""
        place, pauses = canned(
            "insights",
            start_query=[refused("LimitExceededException"), refused("LimitExceededException"), {"queryId": "q"}],
            get_query_results=[{"status": "Complete", "results": []}],
        )
        assert list(place.records(Ask(), Asked())) == []
        assert pauses == [1.0, 2.0]


class TestTrouble:
    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("AccessDeniedException", "permission is missing"),
            ("ThrottlingException", "throttles"),
            ("ResourceNotFoundException", "does not exist"),
            ("ExpiredTokenException", "log in again"),
            ("ServiceUnavailableException", "not available"),
            ("SomethingNew", "SomethingNew: no"),
        ],
    )
    def test_says_what_to_do(self, code, words):
        """A refusal is a sentence, and no traceback."""
        place, _ = canned(filter_log_events=[refused(code)])
        searched = Asked()
        assert list(Several([place]).records(Ask(since=0), searched)) == []
        assert words in searched.failed[0]

    def test_no_credentials(self, server, monkeypatch):
        """Missing credentials are told by name, before anything is sent."""
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.setenv(name, "/nowhere")
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        place = CloudWatch("aws", Settings(log_groups=("/g",), endpoint=server, region="us-east-1"))
        searched = Asked()
        list(Several([place]).records(Ask(since=0), searched))
        assert "no AWS credentials" in searched.failed[0]

    def test_no_region(self, monkeypatch):
        """So is a missing region."""
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        searched = Asked()
        list(Several([CloudWatch("aws", Settings(log_groups=("/g",)))]).records(Ask(since=0), searched))
        assert "no region" in searched.failed[0]

    def test_no_boto3(self, monkeypatch):
        """A missing extra is named."""
        monkeypatch.setitem(__import__("sys").modules, "boto3", None)
        searched = Asked()
        list(Several([CloudWatch("aws", Settings(log_groups=("/g",)))]).records(Ask(since=0), searched))
        assert "otel-logging[cloudwatch]" in searched.failed[0]

    def test_no_group(self, aws):
        """A beginning that fits no group is told, not read as an empty answer."""
        searched = Asked()
        list(source(aws, "/nothing/*").records(Ask(since=0), searched))
        assert "no log group fits /nothing/*" in searched.failed[0]
