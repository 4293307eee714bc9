"""Alarms and the dashboard, read off the template."""

import json
from typing import Any

from tests.infra.conftest import Resources, function_of, of_type

ALARM = "AWS::CloudWatch::Alarm"


def alarms_by_metric(resources: Resources) -> dict[str, list[dict[str, Any]]]:
    """Return the alarms' properties by the name of their metric."""
    found: dict[str, list[dict[str, Any]]] = {}
    for alarm in of_type(resources, ALARM):
        found.setdefault(alarm["Properties"]["MetricName"], []).append(alarm["Properties"])
    return found


def test_what_can_go_wrong_has_an_alarm(resources: Resources) -> None:
    alarms = alarms_by_metric(resources)
    functions = len(of_type(resources, "AWS::Lambda::Function"))
    assert {"5xx", "Latency", "Errors", "Throttles"} <= set(alarms)
    assert {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"} <= set(alarms)
    assert {"ExecutionsFailed", "ExecutionsTimedOut"} <= set(alarms)
    # Those that CDK brings for its own custom resources are not ours to watch.
    assert len(alarms["Errors"]) == len(alarms["Throttles"]) == functions


def test_every_alarm_tells_the_topic_what_to_do(resources: Resources) -> None:
    [topic] = [n for n, r in resources.items() if r["Type"] == "AWS::SNS::Topic"]
    for alarm in of_type(resources, ALARM):
        properties = alarm["Properties"]
        assert properties["AlarmActions"] == properties["OKActions"] == [{"Ref": topic}]
        assert len(properties["AlarmDescription"]) > 30


def test_silence_is_no_alarm(resources: Resources) -> None:
    for alarm in of_type(resources, ALARM):
        assert alarm["Properties"]["TreatMissingData"] == "notBreaching"


def test_thresholds_are_those_that_are_explained(resources: Resources) -> None:
    alarms = alarms_by_metric(resources)
    [latency] = alarms["Latency"]
    assert (latency["ExtendedStatistic"], latency["Threshold"]) == ("p99", 20_000)
    [failing] = alarms["5xx"]
    assert (failing["Statistic"], failing["Threshold"]) == ("Sum", 5)
    [dead] = alarms["ApproximateNumberOfMessagesVisible"]
    assert (dead["Statistic"], dead["Threshold"]) == ("Maximum", 1)
    [queue] = dead["Dimensions"]
    queued = resources[queue["Value"]["Fn::GetAtt"][0]]
    assert "RedrivePolicy" not in queued["Properties"]  # the dead letters, not the queue
    for throttled in alarms["Throttles"]:
        assert (throttled["DatapointsToAlarm"], throttled["EvaluationPeriods"]) == (2, 3)


def test_upkeep_that_fails_again_has_an_alarm_on_what_the_function_sends(
    resources: Resources,
) -> None:
    [failing] = alarms_by_metric(resources)["UpkeepFailures"]
    environment = function_of(resources, "handlers.upkeep.handler")["Environment"]["Variables"]
    assert failing["Namespace"] == environment["POWERTOOLS_METRICS_NAMESPACE"]
    [service] = failing["Dimensions"]
    assert service == {"Name": "service", "Value": environment["POWERTOOLS_SERVICE_NAME"]}
    assert (failing["Statistic"], failing["Threshold"], failing["Period"]) == ("Sum", 1, 3600)
    assert (failing["DatapointsToAlarm"], failing["EvaluationPeriods"]) == (2, 3)


def test_the_topic_is_encrypted_and_takes_alarms_of_this_account_alone(
    resources: Resources,
) -> None:
    [topic] = of_type(resources, "AWS::SNS::Topic")
    key = resources[topic["Properties"]["KmsMasterKeyId"]["Fn::GetAtt"][0]]
    assert key["Properties"]["EnableKeyRotation"] is True
    [policy] = of_type(resources, "AWS::SNS::TopicPolicy")
    said = policy["Properties"]["PolicyDocument"]["Statement"]
    [deny] = [s for s in said if s["Effect"] == "Deny"]
    assert deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    allowing = [s for s in said if s["Effect"] == "Allow"]
    allowing += [
        s
        for s in key["Properties"]["KeyPolicy"]["Statement"]
        if "cloudwatch.amazonaws.com" in json.dumps(s)
    ]
    # Without its part in the key's policy CloudWatch loses every alarm, and says nothing.
    assert len(allowing) == 2
    for statement in allowing:
        assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
        assert statement["Condition"]["StringEquals"] == {
            "aws:SourceAccount": {"Ref": "AWS::AccountId"}
        }


def test_nobody_is_told_unless_an_address_is_given(resources: Resources) -> None:
    kinds = {resource["Type"] for resource in resources.values()}
    assert "AWS::SNS::Subscription" not in kinds


def widgets_of(resources: Resources) -> dict[str, str]:
    """Return the dashboard's widgets, as text, by title."""
    [dashboard] = of_type(resources, "AWS::CloudWatch::Dashboard")
    body = dashboard["Properties"]["DashboardBody"]["Fn::Join"][1]
    text = "".join(part if isinstance(part, str) else "x" for part in body)
    parsed = json.loads(text)["widgets"]
    return {widget["properties"]["title"]: json.dumps(widget) for widget in parsed}


def test_the_dashboard_shows_what_our_functions_send(resources: Resources) -> None:
    shown = "".join(widgets_of(resources).values())
    for name in (
        *("Requests", "QueriesCompleted", "QueriesFailed", "QueriesTimedOut", "ColdStart"),
        *("PlanCacheHit", "PlanCacheMiss", "ImageCacheHit", "ImageCacheMiss"),
        *("ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"),
        *("FilesIngested", "JobChunks", "ExecutionsStarted"),
    ):
        assert name in shown, name


def test_the_dashboard_looks_for_names_that_are_sent(resources: Resources) -> None:
    """A service or a metric under another name would be an empty graph for good."""
    from pathlib import Path

    import handlers.observation

    services = {
        function["Properties"]["Environment"]["Variables"].get("POWERTOOLS_SERVICE_NAME")
        for function in of_type(resources, "AWS::Lambda::Function")
    }
    shown = "".join(widgets_of(resources).values())
    for service in ("trawl-api-test", "trawl-job-test", "trawl-ingest-test"):
        assert service in services
        assert service in shown
    folder = Path(handlers.observation.__file__).parent
    sent = "".join(path.read_text() for path in folder.glob("*.py"))
    for part in shown.split('MetricName=\\\\\\"')[1:]:
        assert f'"{part.partition(chr(92))[0]}"' in sent
