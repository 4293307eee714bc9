"""DynamoDB that throttles, or carries a write out and says that it did not."""

import pytest

from core.errors import UnavailableError
from tests.aws_server import AwsServer, Fault
from tests.core.storage.doubles import doc, read_all
from tests.faults.stores import WHOLE, filled_store, open_store

THROTTLED = [
    Fault(400, "ProvisionedThroughputExceededException"),
    Fault(400, "ThrottlingException"),
    Fault(500, "InternalServerError"),
]


@pytest.mark.parametrize("fault", THROTTLED, ids=lambda fault: fault.code)
@pytest.mark.parametrize("operation", ["UpdateItem", "GetItem"])
def test_throttled_for_a_while_is_only_slower(aws: AwsServer, fault: Fault, operation: str) -> None:
    store = filled_store()
    aws.fail([fault, fault], "dynamodb", operation)
    store.upsert("ns", "col", [doc("new", n="new")])
    aws.decide = lambda request: None
    assert read_all(open_store()) == {**WHOLE, "new": {"n": "new"}}
    assert len(store.describe("ns", "col").segments) == 2


@pytest.mark.parametrize("fault", THROTTLED, ids=lambda fault: fault.code)
@pytest.mark.parametrize("operation", ["UpdateItem", "GetItem"])
def test_throttled_for_good_is_told_and_changes_nothing(
    aws: AwsServer, fault: Fault, operation: str
) -> None:
    store = filled_store()
    aws.decide = lambda request: fault if request.operation == operation else None
    with pytest.raises(UnavailableError) as caught:
        store.upsert("ns", "col", [doc("new", n="new")])
    assert caught.value.retry_after_seconds is not None
    aws.decide = lambda request: None
    assert read_all(open_store()) == WHOLE
    store.upsert("ns", "col", [doc("new", n="later")])
    assert read_all(open_store())["new"] == {"n": "later"}


LOST = [
    Fault(500, "InternalServerError", applied=True),
    Fault(applied=True, cut=0),
]


@pytest.mark.parametrize("fault", LOST, ids=["answered 500", "reset"])
def test_a_write_that_was_carried_out_and_denied_is_made_once(aws: AwsServer, fault: Fault) -> None:
    """The client sends it again, and its condition fails by the client's own hand."""
    store = filled_store()
    aws.fail([fault], "dynamodb", "UpdateItem")
    store.upsert("ns", "col", [doc("d000", n="new"), doc("new", n="new")])
    assert read_all(open_store()) == {**WHOLE, "d000": {"n": "new"}, "new": {"n": "new"}}
    assert len(store.describe("ns", "col").segments) == 2
    aws.fail([fault], "dynamodb", "UpdateItem")
    assert store.delete("ns", "col", ["new"]) == 1
    assert "new" not in read_all(open_store())


def test_a_write_denied_to_the_end_is_there_whole_or_not_at_all(aws: AwsServer) -> None:
    store = filled_store()
    aws.fail([LOST[0]] * 3, "dynamodb", "UpdateItem")
    with pytest.raises(UnavailableError):
        store.upsert("ns", "col", [doc("d000", n="new"), doc("new", n="new")])
    assert read_all(open_store()) == {**WHOLE, "d000": {"n": "new"}, "new": {"n": "new"}}
