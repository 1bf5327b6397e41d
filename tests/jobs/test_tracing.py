"""A job's record carries the trace of the request that created it."""

from opentelemetry import trace

from jobs.tracing import configure_traces, context_of, current_traceparent, flush_traces

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_the_context_of_a_header_continues_its_trace():
    span = trace.get_current_span(context_of(TRACEPARENT)).get_span_context()
    assert f"{span.trace_id:032x}" == TRACEPARENT.split("-")[1]


def test_without_a_span_or_an_endpoint_nothing_is_sent():
    configure_traces("quantd-test", None)
    assert current_traceparent() == ""
    assert not trace.get_current_span(context_of("")).get_span_context().is_valid
    flush_traces()
