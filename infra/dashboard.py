"""The dashboard: traffic, answers, what is reused, what waits, what is being worked on."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.gateways import Gateway
from infra.settings import InfraSettings

_PERIOD = Duration.minutes(5)
_ROW = 6
_WIDTH = 24

Queues = Mapping[str, tuple[sqs.IQueue, sqs.IQueue]]
Functions = Mapping[str, lambda_.IFunction]


def make_dashboard(
    scope: Construct,
    settings: InfraSettings,
    gateway: Gateway,
    *,
    functions: Functions,
    queues: Queues,
    machines: Sequence[sfn.IStateMachine],
    alarms: Sequence[cloudwatch.IAlarm],
) -> cloudwatch.Dashboard:
    """Return the dashboard `trawl-{stage}`: alarms, traffic, queries, functions, queues, jobs."""
    own = OwnMetrics(settings.stage)
    rows: list[list[cloudwatch.IWidget]] = [
        [cloudwatch.AlarmStatusWidget(alarms=list(alarms), title="Alarms", width=_WIDTH, height=3)],
        _traffic(gateway, own),
        _queries(own),
        _functions(functions),
    ]
    if queues:
        rows.append(_queues(queues, own))
    if machines:
        rows.append(_jobs(machines, own))
    return cloudwatch.Dashboard(
        scope,
        "Dashboard",
        dashboard_name=f"trawl-{settings.stage}",
        default_interval=Duration.hours(12),
        widgets=rows,
    )


class OwnMetrics:
    """Metrics that our functions send, added up over their dimensions, for one deployment."""

    def __init__(self, stage: str) -> None:
        self._stage = stage

    def total(self, service: str, metric: str, *, label: str = "") -> cloudwatch.MathExpression:
        """Return one line: the sum over all operations."""
        dimensions = "{Trawl,operation,service}" if service == "api" else "{Trawl,service}"
        return self._search(f"SUM({self._all(dimensions, service, metric)})", label or metric)

    def metric(self, service: str, metric: str, period: Duration) -> cloudwatch.Metric:
        """Return the sum of what a function sends with no other dimension than its name."""
        return cloudwatch.Metric(
            namespace="Trawl",
            metric_name=metric,
            dimensions_map={"service": f"trawl-{service}-{self._stage}"},
            statistic="Sum",
            period=period,
        )

    def by(self, dimension: str, service: str, metric: str) -> cloudwatch.MathExpression:
        """Return a line for each value of the dimension."""
        return self._search(self._all(f"{{Trawl,{dimension},service}}", service, metric), "")

    def _all(self, dimensions: str, service: str, metric: str) -> str:
        query = f'{dimensions} MetricName="{metric}" service="trawl-{service}-{self._stage}"'
        return f"SEARCH('{query}', 'Sum', {_PERIOD.to_seconds():.0f})"

    def _search(self, expression: str, label: str) -> cloudwatch.MathExpression:
        return cloudwatch.MathExpression(
            expression=expression, using_metrics={}, label=label, period=_PERIOD
        )


def _graph(
    title: str, metrics: Iterable[cloudwatch.IMetric], *, width: int, stacked: bool = False
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(
        title=title, left=list(metrics), width=width, height=_ROW, stacked=stacked, period=_PERIOD
    )


def _traffic(gateway: Gateway, own: OwnMetrics) -> list[cloudwatch.IWidget]:
    errors = (gateway.metric("client_errors", "Sum"), gateway.metric("server_errors", "Sum"))
    latencies = (gateway.metric("latency", "p50"), gateway.metric("latency", "p99"))
    return [
        _graph(
            "Requests by operation", [own.by("operation", "api", "Requests")], width=8, stacked=True
        ),
        _graph("Errors: the caller's, ours", errors, width=8),
        _graph("Latency at the gateway (ms), p50 and p99", latencies, width=8),
    ]


def _queries(own: OwnMetrics) -> list[cloudwatch.IWidget]:
    def widget(title: str, *names: str) -> cloudwatch.GraphWidget:
        return _graph(title, [own.total("api", name) for name in names], width=6, stacked=True)

    return [
        widget("Queries by status", "QueriesCompleted", "QueriesFailed", "QueriesTimedOut"),
        widget("Plan cache", "PlanCacheHit", "PlanCacheMiss"),
        widget("Images in memory, and loaded", "ImageCacheHit", "ImageCacheMiss"),
        widget("Cold starts", "ColdStart"),
    ]


def _functions(functions: Functions) -> list[cloudwatch.IWidget]:
    def widget(title: str, method: str, statistic: str) -> cloudwatch.GraphWidget:
        metrics = [
            getattr(function, method)(period=_PERIOD, statistic=statistic, label=name)
            for name, function in functions.items()
        ]
        return _graph(title, metrics, width=6)

    return [
        widget("Calls", "metric_invocations", "Sum"),
        widget("Duration (ms), p99", "metric_duration", "p99"),
        widget("Crashes and timeouts", "metric_errors", "Sum"),
        widget("Throttled", "metric_throttles", "Sum"),
    ]


def _depth(queue: sqs.IQueue) -> Callable[..., cloudwatch.Metric]:
    return queue.metric_approximate_number_of_messages_visible


def _age(queue: sqs.IQueue) -> Callable[..., cloudwatch.Metric]:
    return queue.metric_approximate_age_of_oldest_message


def _queues(queues: Queues, own: OwnMetrics) -> list[cloudwatch.IWidget]:
    def most(
        method: Callable[[sqs.IQueue], Callable[..., cloudwatch.Metric]], *, of_dead: bool = False
    ) -> list[cloudwatch.Metric]:
        return [
            method(dead if of_dead else queue)(period=_PERIOD, statistic="Maximum", label=name)
            for name, (queue, dead) in queues.items()
        ]

    files = [
        own.total("ingest", name)
        for name in ("FilesIngested", "FilesRemoved", "FilesUnchanged", "FilesFailed")
    ]
    return [
        _graph("Messages that wait", most(_depth), width=6),
        _graph("Oldest message (s)", most(_age), width=6),
        _graph("Dead letters", most(_depth, of_dead=True), width=6),
        _graph("Files taken in", files, width=6, stacked=True),
    ]


def _jobs(machines: Sequence[sfn.IStateMachine], own: OwnMetrics) -> list[cloudwatch.IWidget]:
    methods = ("started", "succeeded", "failed", "timed_out", "aborted")
    runs = [
        getattr(machine, f"metric_{name}")(period=_PERIOD, statistic="Sum", label=name)
        for machine in machines
        for name in methods
    ]
    return [
        _graph("Jobs", runs, width=12),
        _graph(
            "Chunks by outcome", [own.by("outcome", "job", "JobChunks")], width=12, stacked=True
        ),
    ]
