"""The job's state machine itself, on the emulator, over a function that misbehaves as told."""

import io
import json
import time
import zipfile
from collections import Counter
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

from infra.job_machine import job_definition
from tests.e2e.aws.emulator import REGION, Emulator

BUCKET = "job-machine"
# Notes its calls in the bucket. What a chunk does at each of its calls stands in the chunk.
FUNCTION = """
import json
import boto3

s3 = boto3.client("s3")

def handler(event, context):
    calls = "calls/" + event["job_id"] + "/" + event["step"]
    chunk = event.get("chunk")
    if event["step"] == "plan":
        return {"bucket": "job-machine", "key": event["job_id"] + ".json", "count": event["run"]}
    if chunk:
        calls += "/" + str(chunk["number"])
    number = s3.list_objects_v2(Bucket="job-machine", Prefix=calls + "/")["KeyCount"]
    s3.put_object(Bucket="job-machine", Key=calls + "/" + str(number), Body=json.dumps(event))
    if event["step"] != "chunk":
        return {}
    does = chunk["does"][min(number, len(chunk["does"]) - 1)]
    if does == "fail":
        raise ValueError("poison")
    return {"done": does == "end"}
"""
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]},
            "Action": "sts:AssumeRole",
        }
    ],
}
ALLOWED = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


def client(service: str) -> Any:
    return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]  # any service


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine over the misbehaving function."""

    arn: str

    def run(self, job: str, chunks: list[list[str]]) -> str:
        """Run a job of chunks that do as told, and return how the execution ended."""
        planned = [{"number": n, "does": does} for n, does in enumerate(chunks)]
        client("s3").put_object(Bucket=BUCKET, Key=f"{job}.json", Body=json.dumps(planned))
        states = client("stepfunctions")
        told = {"namespace_id": "ns_1", "job_id": job, "run": len(chunks)}
        execution = states.start_execution(
            stateMachineArn=self.arn, name=job, input=json.dumps(told)
        )["executionArn"]
        ends = time.monotonic() + 60
        while (found := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < ends, found
            time.sleep(0.1)
        return str(found["status"])

    def calls(self, job: str) -> Counter[str]:
        """Return how often each step was asked for: `chunk/3`, `finish`."""
        listed = client("s3").list_objects_v2(Bucket=BUCKET, Prefix=f"calls/{job}/")
        keys = [one["Key"] for one in listed.get("Contents", ())]
        return Counter(key.removeprefix(f"calls/{job}/").rpartition("/")[0] for key in keys)

    def call(self, job: str, step: str) -> Any:
        """Return the event of the step's first call."""
        found = client("s3").get_object(Bucket=BUCKET, Key=f"calls/{job}/{step}/0")
        return json.loads(found["Body"].read())


@pytest.fixture(scope="module")
def machine(emulator: Emulator) -> Machine:
    """Our definition, as it is deployed, over that function."""
    client("s3").create_bucket(Bucket=BUCKET)
    iam = client("iam")
    role = iam.create_role(RoleName=BUCKET, AssumeRolePolicyDocument=json.dumps(TRUST))
    arn = role["Role"]["Arn"]
    iam.put_role_policy(RoleName=BUCKET, PolicyName="all", PolicyDocument=json.dumps(ALLOWED))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("steps.py", FUNCTION)
    function = client("lambda").create_function(
        FunctionName=BUCKET,
        Runtime="python3.13",
        Role=arn,
        Handler="steps.handler",
        Code={"ZipFile": packed.getvalue()},
        Timeout=60,
    )
    made = client("stepfunctions").create_state_machine(
        name=BUCKET,
        roleArn=arn,
        definition=json.dumps(job_definition(function["FunctionArn"], concurrency=2)),
    )
    return Machine(made["stateMachineArn"])


def test_one_chunk_of_poison_is_given_up_and_the_others_end(machine: Machine) -> None:
    chunks = [["end"], ["fail"], ["again", "again", "end"], ["fail", "end"]]
    assert machine.run("poisoned", chunks) == "SUCCEEDED"
    assert machine.calls("poisoned") == {
        "chunk/0": 1,
        "chunk/1": 3,
        "chunk/2": 3,
        "chunk/3": 2,
        "give_up/1": 1,
        "finish": 1,
    }
    told = machine.call("poisoned", "give_up/1")
    assert (told["namespace_id"], told["job_id"], told["run"]) == ("ns_1", "poisoned", 4)
    assert told["chunk"] == {"number": 1, "does": ["fail"]}
    assert "poison" in told["failure"]["Cause"]


def test_a_job_with_nothing_to_do_is_finished(machine: Machine) -> None:
    assert machine.run("empty", []) == "SUCCEEDED"
    assert machine.calls("empty") == {"finish": 1}


def test_hundreds_of_chunks_fit_the_machine(machine: Machine) -> None:
    assert machine.run("many", [["end"]] * 100) == "SUCCEEDED"
    assert machine.calls("many") == {**{f"chunk/{n}": 1 for n in range(100)}, "finish": 1}
