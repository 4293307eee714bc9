"""Upkeep on Lambda: by the hour, every collection merged and swept, as far as the time goes."""

from typing import Any, Final

from aws_lambda_powertools.metrics import MetricUnit

from core.deadline import Deadline
from handlers.deployed import deployed_app
from handlers.observation import logger, metrics

# No collection is begun this near to the end: merging a large one takes minutes.
_RESERVE: Final = 0.3
_METRICS: Final = {
    "CollectionsMerged": "merged",
    "SegmentsSwept": "swept",
    "UpkeepUnreached": "unreached",
}


@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Go round all collections; answer with what was done, failures included."""
    remaining_s = context.get_remaining_time_in_millis() / 1000
    logger.append_keys(request_id=str(getattr(context, "aws_request_id", "")))
    report = deployed_app().upkeep.run(deadline=Deadline.after(remaining_s * (1 - _RESERVE)))
    body = report.to_json()
    # An alarm watches this one, and a zero says that there was a round. The others are left out
    # where they are zero: every name that is sent costs by the hour.
    metrics.add_metric("UpkeepFailures", MetricUnit.Count, body["failed"] + len(body["faults"]))
    counts = {name: body[fact] for name, fact in _METRICS.items() if body[fact]}
    for name, count in counts.items():
        metrics.add_metric(name, MetricUnit.Count, count)
    logger.info("upkeep", extra=body)
    return body
