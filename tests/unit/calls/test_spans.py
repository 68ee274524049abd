from __future__ import annotations

import threading

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from otel_logging import trouble
from otel_logging.calls import spans
from otel_logging.calls.call import call, end_all, open_call

TWILIO = "CA" + "0123456789abcdef" * 2
OTHER = "CA" + "fedcba9876543210" * 2


def by_name(provider):
    return {span.name: span for span in provider.finished()}


class TestCallSpan:
    def test_is_a_root_span_with_the_calls_trace_id(self, provider):
        """The process's span of a call is named `call`, has no parent, and its trace id is the call id."""
        opened = open_call(origin="websocket", tenant="a", thing=object())
        opened.name(TWILIO)
        assert opened.span_id == opened.span.get_span_context().span_id != 0
        opened.bind(seat=4)
        opened.end("stop")
        (span,) = provider.finished()
        assert span.name == "call"
        assert span.parent is None
        assert f"{span.context.trace_id:032x}" == TWILIO[2:]
        assert span.kind is trace.SpanKind.INTERNAL
        assert dict(span.attributes) == {
            "call_sid": TWILIO,
            "tenant": "a",
            "seat": 4,
            "otel_logging.origin": "websocket",
            "otel_logging.end_reason": "stop",
        }
        assert opened.span is None
        assert opened.span_id == span.context.span_id

    def test_starts_when_the_call_was_first_heard_of(self, provider):
        """The span covers the time before the name, too."""
        opened = open_call(origin="websocket")
        inner = provider.get_tracer("app").start_span("inner")
        opened.name(TWILIO)
        inner.end()
        opened.end()
        found = by_name(provider)
        assert found["call"].start_time <= found["inner"].start_time

    def test_one_span_for_all_handles(self, provider):
        """Webhook and websocket of one call in one process are one span."""
        webhook = open_call(TWILIO, origin="webhook")
        stream = open_call(TWILIO, origin="websocket")
        assert webhook.span_id == stream.span_id
        webhook.leave()
        stream.end("stop")
        assert len(provider.finished()) == 1

    def test_one_span_when_named_by_many_threads(self, provider):
        """Naming the same call from eight threads at once starts one span."""
        calls = [open_call(origin="a") for _ in range(8)]
        start = threading.Barrier(8)

        def name(one):
            start.wait(10)
            one.name(TWILIO)

        threads = [threading.Thread(target=name, args=(one,)) for one in calls]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        end_all("test")
        assert len(provider.finished()) == 1

    def test_one_span_when_named_while_it_starts(self, provider):
        """A second handle that learns the name while the span is being started waits for no one and starts no other."""
        others, started = [], []

        class Naming(spans.SpanStamper):
            def on_start(self, span, parent_context=None):
                started.append(span)
                if not others:
                    others.append(open_call(origin="b"))
                    others[0].name(TWILIO)

        provider.add_span_processor(Naming())
        opened = open_call(TWILIO, origin="a")
        assert others[0].span_id == opened.span_id != 0
        assert len(started) == 1

    def test_ended_while_it_starts(self, provider):
        """A call that ends while its span is being started leaves no span open."""

        class Ending(spans.SpanStamper):
            def on_start(self, span, parent_context=None):
                end_all("process_end")

        provider.add_span_processor(Ending())
        opened = open_call(TWILIO, origin="a")
        assert opened.ended
        assert opened.span is None
        assert provider.finished()[0].attributes["otel_logging.end_reason"] == "process_end"

    def test_held_records_carry_the_span(self, provider):
        """When waiting records are delivered, the call's span is known."""
        seen = []
        opened = open_call(origin="a")
        opened.hold(lambda known: seen.append(known.span_id), 1)
        opened.name(TWILIO)
        assert seen == [opened.span_id]
        assert seen != [0]

    def test_no_second_span_after_hanging_up(self, provider):
        """Who joins a call that was hung up makes no span, but the trace and span ids stay known."""
        first = open_call(TWILIO, origin="a")
        first.end("completed")
        late = open_call(TWILIO, origin="job")
        assert late.span is None
        assert late.span_id == first.span_id
        late.leave(grace=0)
        assert len(provider.finished()) == 1

    def test_second_job_has_a_span_of_its_own(self, provider):
        """A call that goes on after its block gets another span in the same trace."""
        for _ in range(2):
            with call(TWILIO):
                pass
        one, two = provider.finished()
        assert one.context.trace_id == two.context.trace_id
        assert one.context.span_id != two.context.span_id

    def test_sampled_out(self):
        """A sampler that says no is obeyed; the trace id stays the call's."""
        provider = TracerProvider(sampler=ALWAYS_OFF, shutdown_on_exit=False)
        spans.use_tracer(provider)
        with call(TWILIO) as opened:
            assert f"{opened.trace_id:032x}" == TWILIO[2:]
            context = trace.get_current_span().get_span_context()
            assert f"{context.trace_id:032x}" == TWILIO[2:]
            assert not context.trace_flags.sampled
        provider.shutdown()

    def test_set_twice_is_wrapped_once(self, provider):
        """Setting the same provider again leaves one id generator in place."""
        spans.use_tracer(provider)
        tracer = provider.get_tracer(spans.SCOPE)
        assert not isinstance(tracer.id_generator.usual, spans._CallIds)

    def test_other_tracers_are_untouched(self, provider):
        """Only our own tracer has the calls' trace ids; the application's are random as before."""
        with call(TWILIO):
            pass
        span = provider.get_tracer("app").start_span("own")
        assert f"{span.get_span_context().trace_id:032x}" != TWILIO[2:]
        span.end()

    def test_foreign_provider(self):
        """A provider that is not the SDK's is given the trace id by a parent."""
        made = []

        class Tracer(trace.NoOpTracer):
            def start_span(self, name, context=None, **kwargs):
                parent = trace.get_current_span(context).get_span_context()
                made.append((name, parent, kwargs))
                return trace.NonRecordingSpan(trace.SpanContext(parent.trace_id, 7, is_remote=False))

        class Provider(trace.NoOpTracerProvider):
            def get_tracer(self, *args, **kwargs):
                return Tracer()

        spans.use_tracer(Provider())
        with call(TWILIO) as opened:
            assert opened.span_id == 7
        ((name, parent, _),) = made
        assert name == "call"
        assert f"{parent.trace_id:032x}" == TWILIO[2:]
        assert parent.span_id != 0

    def test_failing_provider_costs_a_line_only(self, capsys):
        """A tracer that raises takes nothing else along."""

        class Provider:
            def get_tracer(self, *_):
                return self

            def start_span(self, *_, **__):
                raise RuntimeError("no spans today")

        spans.use_tracer(Provider())
        with call(TWILIO) as opened:
            assert opened.call_sid == TWILIO
        assert trouble.counts() == {"call_span_failed": 1}
        assert "no spans today" in capsys.readouterr().err

    def test_exception_is_noted(self, provider):
        """An exception that left the block stands on the call's span, with status ERROR."""
        with pytest.raises(ValueError, match="boom"), call(TWILIO):
            raise ValueError("boom")
        (span,) = provider.finished()
        assert span.status.status_code is trace.StatusCode.ERROR
        assert span.events[0].attributes["exception.message"] == "boom"
        assert span.attributes["otel_logging.end_reason"] == "error"

    def test_process_end(self, provider):
        """Calls that are open when the process ends have their spans ended."""
        open_call(TWILIO, origin="a")
        end_all("process_end")
        assert provider.finished()[0].attributes["otel_logging.end_reason"] == "process_end"


class TestLinks:
    def test_to_the_server_span_at_opening(self, provider):
        """A call opened within a server's span is linked to it; both carry the call_sid."""
        with provider.get_tracer("server").start_as_current_span("GET /media", kind=trace.SpanKind.SERVER) as server:
            opened = open_call(origin="websocket")
            opened.name(TWILIO)
        opened.end("stop")
        found = by_name(provider)
        assert [link.context.span_id for link in found["call"].links] == [server.get_span_context().span_id]
        assert found["GET /media"].attributes["call_sid"] == TWILIO

    def test_to_a_server_span_that_starts_later(self, provider):
        """A server span that begins within the call, before or after its naming, is linked as well."""
        tracer = provider.get_tracer("server")
        opened = open_call(origin="websocket")
        with opened.activate():
            with tracer.start_as_current_span("first"), tracer.start_as_current_span("child"):
                opened.name(TWILIO)
            with tracer.start_as_current_span("second"):
                pass
        opened.end("stop")
        found = by_name(provider)
        assert {link.context.span_id for link in found["call"].links} == {
            found["first"].context.span_id,
            found["second"].context.span_id,
        }

    def test_are_bounded_and_distinct(self, provider):
        """A call that meets a thousand traces keeps 32 links."""
        tracer = provider.get_tracer("server")
        opened = open_call(TWILIO, origin="a")
        with opened.activate():
            for _ in range(1000):
                tracer.start_span("met").end()
        opened.end()
        assert len(by_name(provider)["call"].links) == 32


class TestActiveSpan:
    def test_own_spans_join_the_calls_trace(self, provider):
        """Within `call()` the application's spans are children of the call's span."""
        with call(TWILIO) as opened, provider.get_tracer("app").start_as_current_span("work") as work:
            assert work.get_span_context().trace_id == opened.trace_id
            assert work.parent.span_id == opened.span_id
        assert not trace.get_current_span().get_span_context().is_valid

    def test_an_active_span_stays_active(self, provider):
        """Within a span of the application, `call()` changes nothing about it, and links to it without stamping it."""
        with provider.get_tracer("app").start_as_current_span("batch") as batch:
            with call(TWILIO):
                assert trace.get_current_span() is batch
            with call(OTHER):
                assert trace.get_current_span() is batch
        found = provider.finished()
        assert [span.name for span in found] == ["call", "call", "batch"]
        assert "call_sid" not in found[2].attributes
        assert [span.links[0].context.span_id for span in found[:2]] == [batch.get_span_context().span_id] * 2

    def test_opened_by_a_middleware_it_is_not_active(self, provider):
        """A middleware's call does not become the parent of the server's span."""
        with open_call(TWILIO, origin="websocket").activate():
            assert not trace.get_current_span().get_span_context().is_valid

    def test_after_hanging_up_own_spans_still_join(self, provider):
        """Work on a call that is over still lands in its trace."""
        open_call(TWILIO, origin="a").end("stop")
        with call(TWILIO) as opened, provider.get_tracer("app").start_as_current_span("late") as late:
            assert late.get_span_context().trace_id == opened.trace_id


class TestStamper:
    def test_stamps_what_starts_within_a_named_call(self, provider):
        """Each span that starts within a call carries its call_sid, others do not."""
        tracer = provider.get_tracer("app")
        with open_call(TWILIO, origin="a").activate():
            tracer.start_span("inside").end()
        tracer.start_span("outside").end()
        found = by_name(provider)
        assert found["inside"].attributes["call_sid"] == TWILIO
        assert "call_sid" not in found["outside"].attributes

    def test_naming_stamps_open_spans(self, provider):
        """Spans that are open when the name comes get it; those that ended before do not, and raise nothing."""
        tracer = provider.get_tracer("app")
        opened = open_call(origin="a")
        with opened.activate():
            tracer.start_span("over").end()
            with tracer.start_as_current_span("open"):
                opened.name(TWILIO)
        found = by_name(provider)
        assert found["open"].attributes["call_sid"] == TWILIO
        assert "call_sid" not in found["over"].attributes

    def test_unnamed_call_keeps_no_spans(self, provider):
        """A call that is never named holds on to a bounded number of spans, weakly."""
        tracer = provider.get_tracer("app")
        opened = open_call(origin="a")
        with opened.activate():
            for _ in range(2000):
                tracer.start_span("short").end()
        assert len(opened._spans) <= 256

    def test_survives_odd_spans(self, capsys):
        """A span that fails under our hands costs a line and nothing else."""

        class Odd:
            def get_span_context(self):
                raise RuntimeError("odd")

        with open_call(TWILIO, origin="a").activate():
            spans.SpanStamper().on_start(Odd())
        assert trouble.counts() == {"span_stamp_failed": 1}
        assert capsys.readouterr().err
