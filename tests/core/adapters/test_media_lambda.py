"""The media function's client: the contract over the real handler, and what Lambda adds to it."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from core.adapters.blobs_directory import DirectoryBlobStores
from core.adapters.media_lambda import PREFIX, LambdaMediaExtractor
from core.deadline import Deadline
from core.errors import DeadlineError, MediaError, TrawlError, UnavailableError
from core.media.metering import MediaMeter
from core.ports.blobs import BlobInfo, Blobs
from core.ports.media import MediaExtractor
from handlers import media, presigned
from tests.contracts.media import FILE, MediaExtractorContract, read, vectors


def payload(answer: Any) -> io.BytesIO:
    return io.BytesIO(json.dumps(answer).encode())


class FunctionInProcess:
    """Runs the real handler on the event as it would arrive; keeps the events."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def invoke(self, *, FunctionName: str, InvocationType: str, Payload: bytes) -> Any:
        """As boto3's."""
        assert (FunctionName, InvocationType) == ("media", "RequestResponse")
        assert len(Payload) <= 6_291_556
        event = json.loads(Payload)
        self.events.append(event)
        return {"StatusCode": 200, "Payload": payload(media.handler(event, None))}


class Answers:
    """Gives prepared answers, or raises them."""

    def __init__(self, *answers: Any) -> None:
        self._answers = iter(answers)

    def invoke(self, **_: Any) -> Any:
        """As boto3's."""
        answer = next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        return answer


def failed(kind: str, message: str) -> dict[str, Any]:
    told = payload({"errorType": kind, "errorMessage": message})
    return {"StatusCode": 200, "FunctionError": "Unhandled", "Payload": told}


def refused(code: str, status: int) -> ClientError:
    told: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(told, "Invoke")


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    stores = DirectoryBlobStores(tmp_path, signing_key=b"k" * 32, base_url="http://127.0.0.1:1")
    return stores.bucket("results")


def answering(blobs: Blobs, *answers: Any) -> LambdaMediaExtractor:
    return LambdaMediaExtractor("media", blobs, client=Answers(*answers), sleep=lambda _: None)


class TestContract(MediaExtractorContract):
    """Through events that hold the bytes."""

    @pytest.fixture
    def extractor(self, blobs: Blobs) -> Iterator[MediaExtractor]:
        extractor = LambdaMediaExtractor("media", blobs, client=FunctionInProcess())
        yield extractor
        extractor.close()


class TestContractOfLargeFiles(MediaExtractorContract):
    """Through a presigned URL, as files larger than an event may be."""

    @pytest.fixture
    def extractor(self, blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> Iterator[MediaExtractor]:
        def fetch(url: str) -> bytes:
            return blobs.get(url.partition("/results/")[2].partition("?")[0])

        monkeypatch.setattr(media, "read_presigned", fetch)
        extractor = LambdaMediaExtractor("media", blobs, client=FunctionInProcess(), inline_bytes=1)
        yield extractor
        extractor.close()
        assert list(blobs.list("")) == []


def test_calls_that_came_to_the_function_are_counted(blobs: Blobs) -> None:
    """Refused ones are not billed; those that failed are."""
    whole = FunctionInProcess()

    class Busy:
        calls = 0

        def invoke(self, **given: Any) -> Any:
            self.calls += 1
            if self.calls == 1:
                raise refused("TooManyRequestsException", 429)
            if self.calls == 2:
                return failed("Sandbox.Timedout", "Task timed out after 20.00 seconds")
            return whole.invoke(**given)

    meter = MediaMeter(2048)
    extractor = LambdaMediaExtractor(
        "media", blobs, client=Busy(), meter=meter, sleep=lambda _: None
    )
    with pytest.raises(MediaError):
        read(extractor)
    assert meter.read().calls == 1
    before = meter.read()
    read(extractor)
    used = meter.read().since(before)
    assert used.calls == 1
    assert 0 < used.gb_seconds < 120


def test_an_event_holds_bytes_or_a_url_that_is_gone_afterwards(
    blobs: Blobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[BlobInfo] = []

    def fetch(url: str) -> bytes:
        seen.extend(blobs.list(""))
        return FILE

    monkeypatch.setattr(media, "read_presigned", fetch)
    function = FunctionInProcess()
    for limit in (len(FILE), len(FILE) - 1):
        read(LambdaMediaExtractor("media", blobs, client=function, inline_bytes=limit))
    inline, by_url = function.events
    assert base64.b64decode(inline["data_base64"]) == FILE
    assert "data_base64" not in by_url
    assert by_url["presigned_url"].startswith("http://127.0.0.1:1/")
    assert [(blob.key.startswith(PREFIX), blob.size) for blob in seen] == [(True, len(FILE))]
    assert list(blobs.list("")) == []


@pytest.mark.parametrize(
    ("kind", "message", "said"),
    [
        ("Sandbox.Timedout", "RequestId: 1 Error: Task timed out after 20.00 seconds", "too long"),
        ("", "2026-11-22T09:00:00.000Z 1 Task timed out after 20.02 seconds", "too long"),
        ("Runtime.ExitError", "RequestId: 1 Error: Runtime exited: signal: killed", "memory"),
        ("Runtime.OutOfMemory", "RequestId: 1 Error: Runtime exited", "memory"),
    ],
)
def test_a_file_that_ends_the_function_is_to_blame(
    blobs: Blobs, kind: str, message: str, said: str
) -> None:
    with pytest.raises(MediaError, match=said) as caught:
        read(answering(blobs, failed(kind, message)))
    assert (caught.value.blame, caught.value.retryable) == ("media", False)


def test_a_function_that_cannot_run_is_the_services_fault(blobs: Blobs) -> None:
    with pytest.raises(TrawlError, match=r"Runtime\.ImportModuleError") as caught:
        read(answering(blobs, failed("Runtime.ImportModuleError", "No module named 'numpy'")))
    assert caught.value.blame == "service"
    assert not isinstance(caught.value, MediaError)


def test_throttling_is_waited_for(blobs: Blobs) -> None:
    function = FunctionInProcess()
    pauses: list[float] = []

    class Busy:
        left = 2

        def invoke(self, **request: Any) -> Any:
            if self.left:
                self.left -= 1
                raise refused("TooManyRequestsException", 429)
            return function.invoke(**request)

    extractor = LambdaMediaExtractor("media", blobs, client=Busy(), sleep=pauses.append)
    assert read(extractor).chunks
    assert pauses == [0.1, 0.2]


def test_throttling_without_end_may_be_tried_again_later(blobs: Blobs) -> None:
    busy = [refused("TooManyRequestsException", 429)] * 6
    with pytest.raises(UnavailableError, match="concurrency limit") as caught:
        read(answering(blobs, *busy))
    assert caught.value.retryable
    assert caught.value.retry_after_seconds == 1.0


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (refused("ServiceException", 500), True),
        (ReadTimeoutError(endpoint_url="https://lambda"), True),
        (refused("AccessDeniedException", 403), False),
        (refused("ResourceNotFoundException", 404), False),
    ],
)
def test_what_lambda_refuses_is_the_services_fault(
    blobs: Blobs, error: Exception, retryable: bool
) -> None:
    with pytest.raises(TrawlError) as caught:
        read(answering(blobs, error))
    assert (caught.value.blame, caught.value.retryable) == ("service", retryable)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        {"extraction": {}, "vectors_base64": ""},
        {"extraction": {"chunks": [], "media": {}, "warnings": []}, "vectors_base64": "?"},
        {"extraction": [], "vectors_base64": ""},
        {"extraction": {"chunks": [{}], "media": {}, "warnings": []}, "vectors_base64": "AAAA"},
    ],
)
def test_an_answer_that_is_no_extraction_is_never_read_as_one(blobs: Blobs, answer: Any) -> None:
    with pytest.raises(MediaError):
        read(answering(blobs, {"StatusCode": 200, "Payload": payload(answer)}))


def test_an_answer_that_is_no_json_is_never_read(blobs: Blobs) -> None:
    with pytest.raises(MediaError):
        read(answering(blobs, {"StatusCode": 200, "Payload": io.BytesIO(b"\x00")}))


def test_the_deadline_is_kept_while_the_function_works_on(blobs: Blobs) -> None:
    release = threading.Event()

    class Slow:
        def invoke(self, **_: Any) -> Any:
            assert release.wait(30)
            raise refused("ServiceException", 500)

    extractor = LambdaMediaExtractor("media", blobs, client=Slow())
    with pytest.raises(DeadlineError):
        extractor.extract("image.pdq", FILE, deadline=Deadline.after(0.05))
    release.set()
    extractor.close()


def test_the_request_is_one_that_lambda_knows(blobs: Blobs) -> None:
    client = boto3.client(
        "lambda", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    raw = json.dumps(media.handler({"extractor": "image.pdq", "data_base64": "AAAA"}, None))
    body = StreamingBody(io.BytesIO(raw.encode()), len(raw))
    with Stubber(client) as stub:
        stub.add_response("invoke", {"StatusCode": 200, "Payload": body})
        with pytest.raises(MediaError, match="not an image"):
            read(LambdaMediaExtractor("media", blobs, client=client))
        stub.assert_no_pending_responses()


def test_many_threads_share_one_client(blobs: Blobs) -> None:
    extractor = LambdaMediaExtractor("media", blobs, client=FunctionInProcess())
    expected = vectors(read(extractor))
    with ThreadPoolExecutor(8) as pool:
        assert all(vectors(found) == expected for found in pool.map(read, [extractor] * 32))
    extractor.close()


def test_the_function_reads_no_more_than_the_fetcher_may_bring() -> None:
    assert presigned.MAX_BYTES >= 50_000_000
