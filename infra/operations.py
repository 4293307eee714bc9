"""What an operator looks at and is woken by: one dashboard, and alarms to one topic."""

from collections.abc import Iterable
from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from infra.dashboard import OwnMetrics, make_dashboard
from infra.gateways import Gateway
from infra.settings import InfraSettings
from infra.topic import make_alarm_topic

_PERIOD = Duration.minutes(5)
# An answer that takes longer is about to be cut at the deadline (27.5 s), and has become partial.
SLOW_MS = 20_000
# One failed call is tried again by its client; five in five minutes are a fault of ours.
FAILED_CALLS = 5


@dataclass(frozen=True, slots=True)
class WatchedFunction:
    """A function and how many of its calls may fail in five minutes before somebody is told.

    A failure is a crash, a timeout or no memory left: what a handler answers itself is none.
    """

    name: str
    function: lambda_.IFunction
    failures: int = 1


@dataclass(frozen=True, slots=True)
class WatchedQueue:
    """A queue, where its dead letters go, and how old its oldest message may become."""

    name: str
    queue: sqs.IQueue
    dead_letters: sqs.IQueue
    oldest: Duration


@dataclass(frozen=True, slots=True)
class WatchedCount:
    """What a function itself counts as failed, though its call ends well.

    `service` is its name in metrics without the stage. Twice within three periods is once too
    often: what goes wrong once is done by the next round.
    """

    name: str
    service: str
    metric: str
    period: Duration
    description: str


class Operations(Construct):
    """The dashboard `trawl-{stage}` and the alarms on what is given.

    No data is never an alarm: a service that nobody calls is well. Every alarm watches one metric
    and no rate of two: a rate of few calls says nothing, and the fixed numbers are those at which
    somebody should look, however large the deployment.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        settings: InfraSettings,
        gateway: Gateway,
        functions: Iterable[WatchedFunction],
        queues: Iterable[WatchedQueue] = (),
        counts: Iterable[WatchedCount] = (),
        machines: Iterable[sfn.IStateMachine] = (),
    ) -> None:
        super().__init__(scope, construct_id)
        functions, queues, machines = tuple(functions), tuple(queues), tuple(machines)
        self.topic = make_alarm_topic(self, settings)
        self.alarms: list[cloudwatch.Alarm] = []
        self._watch_gateway(gateway)
        for function in functions:
            self._watch_function(function)
        for queue in queues:
            self._watch_queue(queue)
        for count in counts:
            self._watch_count(count, OwnMetrics(settings.stage))
        for number, machine in enumerate(machines):
            self._watch_machine(number, machine)
        self.dashboard = make_dashboard(
            self,
            settings,
            gateway,
            functions={one.name: one.function for one in functions},
            queues={one.name: (one.queue, one.dead_letters) for one in queues},
            machines=machines,
            alarms=self.alarms,
        )

    def _watch_gateway(self, gateway: Gateway) -> None:
        self._alarm(
            "ServerErrors",
            gateway.metric("server_errors", "Sum"),
            FAILED_CALLS,
            "Calls of the API end with 5xx: look for `status` >= 500 in the api function's log.",
        )
        self._alarm(
            "Latency",
            gateway.metric("latency", "p99"),
            SLOW_MS,
            "The slowest hundredth of calls takes over 20 s: batches are about to be cut at their "
            "deadline. Smaller batches, more memory, or jobs.",
            # One large batch is slow by right; a quarter of an hour of them is not.
            periods=3,
        )

    def _watch_function(self, watched: WatchedFunction) -> None:
        name, function = watched.name, watched.function
        self._alarm(
            f"{name}Errors",
            function.metric_errors(period=_PERIOD, statistic="Sum"),
            watched.failures,
            f"The {name.lower()} function crashes, runs out of time or of memory.",
        )
        self._alarm(
            f"{name}Throttles",
            function.metric_throttles(period=_PERIOD, statistic="Sum"),
            1,
            f"Lambda has no room for the {name.lower()} function: its own limit of concurrent "
            "calls, or the account's.",
            # Callers and queues try again: a single burst passes unnoticed.
            periods=3,
            breaching=2,
        )

    def _watch_queue(self, watched: WatchedQueue) -> None:
        name = watched.name
        self._alarm(
            f"{name}DeadLetters",
            watched.dead_letters.metric_approximate_number_of_messages_visible(
                period=_PERIOD, statistic="Maximum"
            ),
            1,
            f"{name}: a message was given up. Each says why; a redrive tries them all again.",
        )
        self._alarm(
            f"{name}Age",
            watched.queue.metric_approximate_age_of_oldest_message(
                period=_PERIOD, statistic="Maximum"
            ),
            watched.oldest.to_seconds(),
            f"{name}: a message waits for longer than all of its tries take; nothing takes it.",
        )

    def _watch_count(self, watched: WatchedCount, own: OwnMetrics) -> None:
        metric = own.metric(watched.service, watched.metric, watched.period)
        self._alarm(watched.name, metric, 1, watched.description, periods=3, breaching=2)

    def _watch_machine(self, number: int, machine: sfn.IStateMachine) -> None:
        # Not those that were stopped: whoever asked for that knows.
        for name, metric in (
            ("Failed", machine.metric_failed(period=_PERIOD, statistic="Sum")),
            ("TimedOut", machine.metric_timed_out(period=_PERIOD, statistic="Sum")),
        ):
            self._alarm(
                f"Jobs{name}{number or ''}",
                metric,
                1,
                "A job ended before its items did: its state machine's last event says where.",
            )

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        threshold: float,
        description: str,
        *,
        periods: int = 1,
        breaching: int | None = None,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=periods,
            datapoints_to_alarm=breaching or periods,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
            alarm_description=description,
        )
        action = actions.SnsAction(self.topic)
        alarm.add_alarm_action(action)
        # The end of it is news too.
        alarm.add_ok_action(action)
        self.alarms.append(alarm)
