"""Traces across gateway, queue and worker (OpenTelemetry): sent where an endpoint is set, and nothing else.

A job's record carries the W3C `traceparent` of the request that made it, so that the trace goes on however often and
whenever the job is run.
"""

from opentelemetry import propagate, trace
from opentelemetry.context import Context


def configure_traces(service: str, endpoint: str | None) -> None:
    """Send this process's spans by OTLP over HTTP to `endpoint`; call it once.

    Raises:
        ImportError: an endpoint is set, and the extra `telemetry` is not installed.
    """
    if endpoint is None:
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint.rstrip("/") + "/v1/traces")))
    trace.set_tracer_provider(provider)


def flush_traces() -> None:
    """Send what waits to be sent: a server that a signal ends runs no exit handlers."""
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)  # the provider of the API alone has nothing
    if flush is not None:
        flush()


def current_traceparent() -> str:
    """The W3C header of the span that we are in; empty outside of one."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")


def context_of(traceparent: str) -> Context:
    """The context that such a header names, to start a span in."""
    return propagate.extract({"traceparent": traceparent} if traceparent else {})
