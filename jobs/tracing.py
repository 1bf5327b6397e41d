"""OpenTelemetry traces across gateway, queue and worker; nothing is sent unless an endpoint is set.

A job's record carries the W3C `traceparent` of the request that created it, so that every attempt of the job continues
the same trace.
"""

from opentelemetry import propagate, trace
from opentelemetry.context import Context


def configure_traces(service: str, endpoint: str | None) -> None:
    """Send the spans of this process to `endpoint` by OTLP over HTTP; call it once.

    Raises:
        ImportError: an endpoint is set but the extra `telemetry` is not installed.
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
    """Send the buffered spans: a server that a signal ends runs no exit handlers."""
    flush = getattr(trace.get_tracer_provider(), "force_flush", None)  # only the SDK's provider has it
    if flush is not None:
        flush()


def current_traceparent() -> str:
    """Return the W3C `traceparent` of the current span, or an empty string outside of a span."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent", "")


def context_of(traceparent: str) -> Context:
    """Return the context of a `traceparent`, in which a span can be started."""
    return propagate.extract({"traceparent": traceparent} if traceparent else {})
