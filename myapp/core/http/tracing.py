"""Traces for OpenTelemetry: a span for each request, and for what it asks the stores.

This module is loaded only when OTLP_ENDPOINT is set; requirements-extras.txt has its
packages.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, request
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from opentelemetry.propagate import inject
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from myapp.core.errors.startup import ConfigError
from myapp.core.http.headers import WSGI

# What is asked all the time, and tells nothing.
EXCLUDED = "/health/.*,/metrics"


class Tracer:
    """A WSGI wrapper that sets up the export of spans in each process: what sends them
    is a thread, which a fork does not have.

    :param application: the WSGI application that is wrapped.
    """

    def __init__(self, application: WSGI, config: Any) -> None:
        self.application = application
        self.config = config
        self._process = 0

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """Answer a request."""
        if self._process != os.getpid():
            self._process = os.getpid()
            trace.set_tracer_provider(provider_of(self.config))
        return self.application(environ, start_response)


def provider_of(config: Any) -> TracerProvider:
    """What makes the spans of this process, and sends them."""
    resource = Resource.create(
        {"service.name": "myapp", "service.version": config["RELEASE"] or "none"}
    )
    sampler = ParentBased(TraceIdRatioBased(config["TRACES_SAMPLED"]))
    provider = TracerProvider(resource=resource, sampler=sampler)
    address = config["OTLP_ENDPOINT"].rstrip("/") + "/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(address)))
    return provider


def tell_trace(span: trace.Span, environ: dict[str, Any]) -> None:
    """Let the log line of a request name the trace that begins here."""
    if "HTTP_TRACEPARENT" not in environ:
        carrier: dict[str, str] = {}
        inject(carrier, trace.set_span_in_context(span))
        environ["HTTP_TRACEPARENT"] = carrier.get("traceparent", "")


def leave_out_query(span: trace.Span, _status: str, _headers: object) -> None:
    """Leave out of a span what the client has sent in the query."""
    span.set_attribute("http.target", request.path)


def init_app(app: Flask) -> None:
    """Make a span of each request; it must be called before other code checks it.

    :raises ConfigError: when the collector has no URL, or the share is above 1.
    """
    if not app.config["OTLP_ENDPOINT"].startswith(("http://", "https://")):
        raise ConfigError("OTLP_ENDPOINT is not a URL of http or https")
    if app.config["TRACES_SAMPLED"] > 1:
        raise ConfigError("TRACES_SAMPLED is a share, from 0 to 1")
    FlaskInstrumentor().instrument_app(  # type: ignore[no-untyped-call]
        app,
        request_hook=tell_trace,
        response_hook=leave_out_query,
        excluded_urls=EXCLUDED,
        enable_commenter=False,
    )
    wrapped: Any = Tracer(app.wsgi_app, app.config)
    app.wsgi_app = wrapped  # type: ignore[method-assign]
