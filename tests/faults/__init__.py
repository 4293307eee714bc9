"""Faults of what Trawl stands on, through the real adapters and real sockets; and where each fault
has its test. In none of them may an acknowledged write be lost, an answer be wrong, or a whole
batch fail for one query.

| fault | test |
|---|---|
| DynamoDB throttles, for a while or for good | `test_records.py` |
| a conditional write is carried out and answered 500, or not answered | `test_records.py` |
| DynamoDB refuses, or is not reached | `tests/core/adapters/test_records_dynamodb.py` |
| a write's answer is lost; a writer that repeats itself, sleeps or always loses | `tests/core/storage/test_faults.py` |
| S3 answers 5xx, for a while or for good | `test_images.py` |
| S3 never answers | `test_images.py`, `test_batches.py`, `tests/runtime/test_contract.py` |
| an image is altered, short, torn in mid-body, or replaced while it is read | `test_images.py` |
| any altered byte and any truncation of a segment | `tests/core/storage/test_container.py`, `test_faults.py` beside it |
| a segment is lost, or is another collection's | `tests/core/storage/test_faults.py` |
| one query's file cannot be had from S3 | `test_batches.py` |
| the results bucket hangs or breaks | `tests/core/test_batch_faults.py` |
| storage that does not answer at all, stages that do not obey | `tests/core/test_batch_faults.py` |
| a media file takes the memory or kills the process of the media function | `tests/runtime/test_media.py` |
| the function's process ends or is taken back in mid-call | `tests/runtime/test_contract.py` |
"""  # noqa: E501 - rows of a table
