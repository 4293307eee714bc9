"""What the logs and metrics of Lambda tell of a request: names, ids, counts and times."""

import logging
import os
from typing import Final

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from handlers.http.messages import ApiRequest, ApiResponse

# Deployments in one account are told apart by it, in logs and on the dashboard.
_SERVICE: Final = os.environ.get("POWERTOOLS_SERVICE_NAME") or "trawl-api"

logger = Logger(service=_SERVICE)
metrics = Metrics(namespace="Trawl", service=_SERVICE)
for _name in ("trawl", "core"):
    # What the layers below log comes out as the same JSON, with the same request id.
    logging.getLogger(_name).handlers = [logger.registered_handler]
    logging.getLogger(_name).propagate = False
    logging.getLogger(_name).setLevel(logging.INFO)

# The operation of health probes.
_PROBE: Final = "get_health"
# Fact -> the metric that counts it. What is zero is left out: every name that is sent costs.
_COUNTED: Final = {
    "completed": "QueriesCompleted",
    "failed": "QueriesFailed",
    "timed_out": "QueriesTimedOut",
    "image_hits": "ImageCacheHit",
    "image_loads": "ImageCacheMiss",
}


def observe(request: ApiRequest, response: ApiResponse, milliseconds: float, *, cold: bool) -> None:
    """Say what happened, never what was asked: inputs and documents are the user's.

    `cold` is the first request of a process, or of a copy that was restored from a snapshot.
    """
    facts = dict(response.facts)
    failures = facts.pop("failures", ())
    _measure(response, milliseconds, cold=cold)
    if response.status == 200 and facts.get("operation") == _PROBE and not cold:
        # They come every few seconds: the metrics count them, and the gateway's log names them.
        return
    for failure in failures:
        logger.warning("query failed", extra={"batch_id": facts.get("batch_id"), **failure})
    logger.info(
        "request",
        extra={
            "method": request.method,
            "status": response.status,
            "duration_ms": round(milliseconds, 3),
            "cold": cold,
            **facts,
        },
    )


def _measure(response: ApiResponse, milliseconds: float, *, cold: bool) -> None:
    """Add one request's metrics; they leave as one line when the handler returns."""
    facts = response.facts
    metrics.add_dimension("operation", str(facts.get("operation", "unknown")))
    metrics.add_metric("Requests", MetricUnit.Count, 1)
    metrics.add_metric("Latency", MetricUnit.Milliseconds, round(milliseconds, 3))
    counts = {metric: facts.get(fact, 0) for fact, metric in _COUNTED.items()}
    counts["ColdStart"] = int(cold)
    counts["ServerErrors"] = int(response.status >= 500)
    counts["ClientErrors"] = int(400 <= response.status < 500)
    if "plan_cache" in facts:
        built = facts["plan_cache"] == "built"
        counts["PlanCacheMiss" if built else "PlanCacheHit"] = 1
    for name, count in counts.items():
        if count:
            metrics.add_metric(name, MetricUnit.Count, count)
