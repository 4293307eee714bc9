"""AWS on this machine, which these tests make fail."""

import types
from collections.abc import Iterator

import botocore.endpoint
import pytest

from tests.aws_server import AwsServer, running_aws


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsServer]:
    """A server that this process's own clients lead to; their pauses between tries are left out."""
    with running_aws() as aws:
        for name, value in aws.environment.items():
            monkeypatch.setenv(name, value)
        hurried = types.SimpleNamespace(sleep=lambda _: None)
        monkeypatch.setattr(botocore.endpoint, "time", hurried)
        yield aws
