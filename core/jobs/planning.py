"""Planning a run: the manifest copied chunk by chunk, once; then which chunks are to do."""

import secrets

import orjson

from core.errors import BlobNotFoundError, ConflictError, InvalidRequestError
from core.jobs.manifest import Chunk, cut_chunks, read_lines
from core.jobs.store import Job, JobStore
from core.ports.blobs import Blobs, BlobStores
from core.types import JsonObject


def plan_chunks(job: Job, buckets: BlobStores, results: Blobs) -> JsonObject:
    """Copy the manifest into the results bucket and return where the copy is.

    A copy, since the manifest may change while the job runs; an object per chunk, since none need
    be held in memory whole then. Raises `InvalidRequestError`, `BlobNotFoundError`.
    """
    source, key = buckets.bucket(job.source["bucket"]), job.source["key"]
    # Two plans at once write apart; the job takes one of them.
    folder = f"{job.folder}/manifest-{secrets.token_hex(6)}"
    try:
        size = source.head(key).size
        chunks: list[Chunk] = []
        for chunk, data in cut_chunks(read_lines(source, key), size):
            results.put(_chunk_key(folder, chunk.number), data, content_type="application/x-ndjson")
            chunks.append(chunk)
    except BlobNotFoundError:
        name = job.manifest or key
        raise InvalidRequestError(f"the manifest {name} is not there") from None
    if not chunks:
        raise InvalidRequestError("the manifest is empty")
    results.put(_list_key(folder), _dump(chunks), content_type="application/json")
    lines = sum(chunk.lines for chunk in chunks)
    return {"folder": folder, "chunks": len(chunks), "lines": lines}


def read_chunks(job: Job, results: Blobs) -> list[Chunk]:
    """Return all chunks of a planned job."""
    return _read(results, _list_key(_folder(job)))


def read_chunk(job: Job, chunk: Chunk, results: Blobs) -> list[bytes]:
    """Return the lines of a chunk."""
    data = bytes(results.load(_chunk_key(_folder(job), chunk.number)))
    return data.split(b"\n")[: chunk.lines]


def write_remaining(job: Job, store: JobStore) -> tuple[str, int]:
    """Return the key and length of the list of chunks that this run has to work on.

    Raises `InvalidRequestError` if the copy of the manifest has expired since it was made.
    """
    try:
        chunks = read_chunks(job, store.results)
    except BlobNotFoundError:
        message = "the job's files are not kept any longer: make another job"
        raise InvalidRequestError(message) from None
    states = {state.number: state for state in store.chunks(job)}
    if not states:
        return _list_key(_folder(job)), len(chunks)
    remaining = [
        chunk
        for chunk in chunks
        if (state := states.get(chunk.number)) is None
        or not state.is_whole
        or state.due(job.run) is not None
    ]
    key = f"{job.folder}/run-{job.run:05}.json"
    try:
        store.results.put(key, _dump(remaining), content_type="application/json", if_absent=True)
    except ConflictError:  # this run was planned before, and is under way
        remaining = _read(store.results, key)
    return key, len(remaining)


def _folder(job: Job) -> str:
    if job.copy is None:
        raise InvalidRequestError(f"job {job.job_id} is not planned yet")
    return str(job.copy["folder"])


def _list_key(folder: str) -> str:
    return f"{folder}/chunks.json"


def _chunk_key(folder: str, number: int) -> str:
    return f"{folder}/{number:05}.jsonl"


def _dump(chunks: list[Chunk]) -> bytes:
    return orjson.dumps([chunk.to_json() for chunk in chunks])


def _read(results: Blobs, key: str) -> list[Chunk]:
    return [Chunk.from_json(raw) for raw in orjson.loads(results.load(key))]
