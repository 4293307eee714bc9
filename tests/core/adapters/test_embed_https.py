"""https.embedder against a real HTTPS server: the contract, the key, and what it never does."""

import base64
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.adapters.embed_retries import Retries
from core.adapters.embed_transports import HttpsTransport
from core.adapters.media_remote import RemoteMediaExtractor
from core.adapters.secret_references import Secrets
from core.deadline import Deadline
from core.errors import DeadlineError, InvalidRequestError, MediaError, TrawlError, UnavailableError
from core.media.rules import ExtractorRules
from core.ports.media import Extraction
from tests.core.adapters.embedding_server import (
    HOST,
    EmbeddingServer,
    Reply,
    embedding_server,
    vector_of,
)
from tests.core.media.pictures import encode, landscape

KEY = "hush-hush-3141"
PNG = encode(landscape(1, 24, 24), "PNG")


@contextmanager
def remote(
    folder: Path, server: EmbeddingServer, rules: ExtractorRules | None = None, **retries: Any
) -> Iterator[RemoteMediaExtractor]:
    transport = HttpsTransport(server.rules(folder), Secrets())
    tries = Retries(draw=lambda high: 0.0, **{"sleep": lambda _: None, **retries})
    made = RemoteMediaExtractor(rules or ExtractorRules(), {"https": transport}, retries=tries)
    try:
        yield made
    finally:
        made.close()


def embed(
    extractor: RemoteMediaExtractor,
    server: EmbeddingServer,
    data: bytes,
    declared_type: str | None = None,
    *,
    seconds: float = 20,
    as_query: bool = False,
    **params: Any,
) -> Extraction:
    return extractor.extract(
        "https.embedder",
        data,
        deadline=Deadline.after(seconds),
        params={"url": server.url, "dimension": 4, **params},
        as_query=as_query,
        declared_type=declared_type,
    )


def test_a_file_and_a_text_are_posted_as_documented(tmp_path: Path) -> None:
    with embedding_server(tmp_path) as server, remote(tmp_path, server) as extractor:
        found = embed(extractor, server, PNG)
        embed(extractor, server, " naïve ".encode(), "text/plain; charset=utf-8", as_query=True)
        of_file, of_text = server.asked
        image = {"type": "image", "content_type": "image/png"}
        image["base64"] = base64.b64encode(PNG).decode()
        assert of_file.body == {"purpose": "document", "dimension": 4, "inputs": [image]}
        text = {"type": "text", "text": "naïve"}
        assert of_text.body == {"purpose": "query", "dimension": 4, "inputs": [text]}
        assert of_file.path == "/embed"
        assert of_file.headers["Host"] == f"{HOST}:{server.server_port}"
        assert not {"Authorization", "Cookie"} & set(of_file.headers)
        (chunk,) = found.chunks
        np.testing.assert_array_equal(chunk.vector, np.array(vector_of(image, 4), np.float32))
        assert found.media.content_type == "image/png"
        assert found.media.size_bytes == len(PNG)


def test_the_key_goes_to_its_host_and_into_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_EMBEDDER_KEY", KEY)
    rules = ExtractorRules(secrets=((HOST, "env:TEST_EMBEDDER_KEY"),))
    refusal = Reply(status=401, body=KEY.encode())
    with (
        embedding_server(tmp_path, refusal) as server,
        remote(tmp_path, server, rules) as extractor,
    ):
        with pytest.raises(TrawlError) as caught:
            embed(extractor, server, PNG, secret="env:TEST_EMBEDDER_KEY")
        embed(extractor, server, PNG, secret="env:TEST_EMBEDDER_KEY", secret_header="X-Api-Key")
        assert server.asked[0].headers["Authorization"] == f"Bearer {KEY}"
        assert server.asked[1].headers["X-Api-Key"] == KEY
        assert "Authorization" not in server.asked[1].headers
    shown = str(caught.value) + repr(caught.value.details)
    assert KEY not in shown and not caught.value.retryable


@pytest.mark.parametrize(
    ("url", "secret"),
    [
        ("https://evil.test/embed", "env:TEST_EMBEDDER_KEY"),
        (f"https://{HOST}.evil.test/embed", "env:TEST_EMBEDDER_KEY"),
        (f"https://{HOST}/embed", "env:AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_key_is_sent_nowhere_else(tmp_path: Path, url: str, secret: str) -> None:
    rules = ExtractorRules(secrets=((HOST, "env:TEST_EMBEDDER_KEY"),))
    with embedding_server(tmp_path) as server, remote(tmp_path, server, rules) as extractor:
        with pytest.raises(InvalidRequestError, match="may not be sent"):
            embed(extractor, server, PNG, url=url, secret=secret)
        assert server.asked == []


def test_an_address_inside_is_never_posted_to(tmp_path: Path) -> None:
    with embedding_server(tmp_path) as server:
        for address in ("169.254.169.254", "10.0.0.1", "127.0.0.1", "::1"):
            inside = replace(
                server.rules(tmp_path), allowed_networks=(), resolve=lambda *_, a=address: [a]
            )
            extractor = RemoteMediaExtractor(
                ExtractorRules(), {"https": HttpsTransport(inside, Secrets())}
            )
            with closing(extractor), pytest.raises(TrawlError, match="private") as caught:
                embed(extractor, server, PNG)
            assert not caught.value.retryable
        assert server.asked == []


def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    away = Reply(status=307, headers={"Location": "https://media.test/elsewhere"})
    with embedding_server(tmp_path, away) as server, remote(tmp_path, server) as extractor:
        with pytest.raises(TrawlError, match="307"):
            embed(extractor, server, PNG)
        assert len(server.asked) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_tried_again_as_asked(tmp_path: Path, status: int) -> None:
    waits: list[float] = []
    busy = Reply(status=status, headers={"Retry-After": "3"})
    with (
        embedding_server(tmp_path, busy, busy) as server,
        remote(tmp_path, server, sleep=waits.append) as extractor,
    ):
        assert len(embed(extractor, server, PNG).chunks) == 1
        assert len(server.asked) == 3
    assert waits == [3.0, 3.0]


def test_tries_end_with_the_time(tmp_path: Path) -> None:
    waits: list[float] = []
    busy = [Reply(status=503, headers={"Retry-After": "30"})] * 3
    with (
        embedding_server(tmp_path, *busy) as server,
        remote(tmp_path, server, sleep=waits.append) as extractor,
    ):
        with pytest.raises(UnavailableError, match="503"):
            embed(extractor, server, PNG, seconds=10)
        assert len(server.asked) == 1
    assert waits == []


def test_an_endpoint_that_stays_busy_is_given_up(tmp_path: Path) -> None:
    busy = [Reply(status=429)] * 20
    with embedding_server(tmp_path, *busy) as server, remote(tmp_path, server) as extractor:
        with pytest.raises(UnavailableError, match="429"):
            embed(extractor, server, PNG)
        assert len(server.asked) == 6


def test_silence_ends_with_the_deadline(tmp_path: Path) -> None:
    with (
        embedding_server(tmp_path, Reply(hang=True)) as server,
        remote(tmp_path, server) as extractor,
        pytest.raises((DeadlineError, UnavailableError)),
    ):
        embed(extractor, server, PNG, seconds=0.3)


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_content_that_is_refused_is_the_files_fault(tmp_path: Path, status: int) -> None:
    with (
        embedding_server(tmp_path, Reply(status=status)) as server,
        remote(tmp_path, server) as extractor,
        pytest.raises(MediaError, match=str(status)),
    ):
        embed(extractor, server, PNG)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b"{}",
        b'{"embeddings": 1}',
        b'{"embeddings": "four"}',
        b'{"embeddings": []}',
        b'{"embeddings": [[1, 2, 3, 4], [1, 2, 3, 4]]}',
        b'{"embeddings": [[1, 2, 3]]}',
        b'{"embeddings": [["a", 2, 3, 4]]}',
        b'{"embeddings": [[1, 2, 3, null]]}',
        b'{"embeddings": [[1, 2, 3, 1e39]]}',
        b'{"embeddings": [[[1], [2], [3], [4]]]}',
        b'{"embeddings": [{"embedding": [1, 2, 3, 4]}]}',
    ],
)
def test_an_answer_that_is_no_embedding_is_an_error(tmp_path: Path, body: bytes) -> None:
    with (
        embedding_server(tmp_path, Reply(body=body)) as server,
        remote(tmp_path, server) as extractor,
        pytest.raises(TrawlError) as caught,
    ):
        embed(extractor, server, PNG)
    assert caught.value.blame == "service" and not caught.value.retryable


def test_zeros_have_no_direction(tmp_path: Path) -> None:
    reply = Reply(body=b'{"embeddings": [[0, 0, 0, 0]]}')
    with (
        embedding_server(tmp_path, reply) as server,
        remote(tmp_path, server) as extractor,
        pytest.raises(MediaError, match="zeros"),
    ):
        embed(extractor, server, PNG)


@pytest.mark.parametrize(
    ("data", "declared"),
    [
        (b"", None),
        (b"", "text/plain"),
        (b"   ", "text/plain"),
        (b"\xff\xfe", "text/plain"),
        (b"%PDF-1.7", None),
        (b"plain words", None),
        (PNG, "image/jpeg"),
        (b"x" * 100_001, "text/plain"),
    ],
)
def test_what_cannot_be_embedded_leaves_for_nowhere(
    tmp_path: Path, data: bytes, declared: str | None
) -> None:
    with embedding_server(tmp_path) as server, remote(tmp_path, server) as extractor:
        with pytest.raises(MediaError):
            embed(extractor, server, data, declared)
        assert server.asked == []


def test_a_closed_extractor_says_so(tmp_path: Path) -> None:
    with embedding_server(tmp_path) as server, remote(tmp_path, server) as extractor:
        extractor.close()
        with pytest.raises(UnavailableError, match="closed"):
            embed(extractor, server, PNG)
