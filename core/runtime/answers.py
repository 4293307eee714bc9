"""One query's result as the answer shows it: documents, evidence, and what is missing and why."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from core.errors import DeadlineError, describe_error
from core.hits import Evidence
from core.ids import new_id
from core.runtime.pipeline import PipelineResult, StageFailure, StageOutcome
from core.types import JsonObject


def completed_result(
    result: PipelineResult,
    documents: Sequence[JsonObject],
    *,
    asked: int,
    snapshots: Mapping[str, int],
    warnings: Sequence[str] = (),
) -> JsonObject:
    """Return the result of a query that ran to its end. `asked` is how many documents the caller
    wanted at most."""
    incomplete = [entry for outcome in result.stages for entry in outcome.incomplete]
    said = [text for outcome in result.stages for text in outcome.report.warnings]
    if len(documents) < asked:
        said += [f"{len(documents)} of at most {asked}: {why}" for why in _shortfalls(result)]
    evidence = result.evidence
    return _result(
        status="completed",
        complete=not incomplete,
        incomplete=incomplete,
        documents=list(documents),
        total=len(result.rows),
        evidence={
            "compared": evidence.compared,
            "best_score": evidence.best_score,
            "exact": evidence.exact,
            "unsearchable": evidence.unsearchable,
            "unsearchable_documents": [one.document_id for one in evidence.unsearchable_files],
            "unsearchable_files": [asdict(one) for one in evidence.unsearchable_files],
            "features": _features(evidence),
            "snapshots": dict(snapshots),
        },
        stage_statistics=_statistics(result),
        facets=_facets(result),
        warnings=[*warnings, *said],
        limits=_limits(result),
    )


def failed_result(error: Exception, *, snapshots: Mapping[str, int]) -> JsonObject:
    """Return the result of a query that failed or ran out of time, with its error object."""
    stage = stage_index = None
    if isinstance(error, StageFailure):
        stage, stage_index, error = error.stage_name, error.stage_index, error.error
    timed_out = isinstance(error, DeadlineError)
    body = describe_error(error, stage=stage, stage_index=stage_index)
    return _result(
        status="timed_out" if timed_out else "failed",
        complete=False,
        error=body,
        evidence={
            "compared": 0,
            "best_score": None,
            "exact": False,
            "unsearchable": 0,
            "unsearchable_documents": [],
            "unsearchable_files": [],
            "features": {},
            "snapshots": dict(snapshots),
        },
    )


def is_unprocessed(result: JsonObject) -> bool:
    """Say whether sending the query again may succeed."""
    error = result["error"]
    return result["status"] == "timed_out" or bool(error and error["retryable"])


def _result(**given: object) -> JsonObject:
    """Return a whole result: every key is always there."""
    blank: JsonObject = {
        "index": 0,
        "execution_id": new_id("exec"),
        "status": "failed",
        "complete": False,
        "incomplete": [],
        "documents": [],
        "total": 0,
        "error": None,
        "evidence": None,
        "duplicate_of": None,
        "duration_ms": 0.0,
        "stage_statistics": {"stages": {}, "total_time_ms": 0.0, "credits_used": 0.0},
        "facets": None,
        "warnings": [],
        "limits": [],
    }
    return {**blank, **given}


def _features(evidence: Evidence) -> JsonObject:
    # Not dataclasses.asdict, which copies each number by way of ten calls: this runs per query.
    features: JsonObject = {}
    for name, one in evidence.features.items():
        found: JsonObject = {
            "compared": one.compared,
            "best_score": one.best_score,
            "whole": one.whole,
        }
        if one.verification is not None:
            found["verification"] = asdict(one.verification)
        features[name] = found
    return features


def _shortfalls(result: PipelineResult) -> list[str]:
    reasons = []
    for outcome in result.stages:
        if outcome.report.shortfall is not None:
            reasons.append(f"{outcome.name}: {outcome.report.shortfall}")
        elif outcome.output_count < outcome.input_count:
            kept = f"kept {outcome.output_count} of {outcome.input_count} rows"
            reasons.append(f"{outcome.name}: {kept}")
    return reasons


def _statistics(result: PipelineResult) -> JsonObject:
    stages = {outcome.name: _stage_statistics(outcome) for outcome in result.stages}
    total = sum(outcome.duration_ms for outcome in result.stages)
    return {"stages": stages, "total_time_ms": round(total, 3), "credits_used": 0.0}


def _stage_statistics(outcome: StageOutcome) -> JsonObject:
    metadata = dict(outcome.report.metadata)
    if outcome.report.facets is not None:
        metadata["facets"] = outcome.report.facets
    body: JsonObject = {
        "input_count": outcome.input_count,
        "output_count": outcome.output_count,
        "duration_ms": round(outcome.duration_ms, 3),
        "efficiency": outcome.output_count / outcome.input_count if outcome.input_count else 0.0,
    }
    if outcome.error is not None:
        body["error"] = outcome.error
    if metadata:
        body["metadata"] = metadata
    return body


def _facets(result: PipelineResult) -> list[JsonObject] | None:
    """Return the last faceting stage's facets."""
    found = [o.report.facets for o in result.stages if o.report.facets is not None]
    return found[-1] if found else None


def _limits(result: PipelineResult) -> list[JsonObject]:
    return [{**entry, "stage": o.name} for o in result.stages for entry in o.report.limits]


def batch_answer(
    results: Sequence[JsonObject], *, batch_id: str, about: Mapping[str, object]
) -> JsonObject:
    """Return the envelope of a batch around its results, in order."""
    completed = sum(result["status"] == "completed" for result in results)
    status = "completed" if completed == len(results) else "partial" if completed else "failed"
    return {
        "batch_id": batch_id,
        "status": status,
        "complete": all(result["complete"] for result in results),
        "results": list(results),
        "unprocessed": [result["index"] for result in results if is_unprocessed(result)],
        **about,
    }


def reference_answer(result: JsonObject, about: Mapping[str, object]) -> JsonObject:
    """Return a single execution's answer: the reference's own keys, the per-query ones beside.

    The reference's `error` is a sentence, so the error object stands in `error_detail`.
    """
    body = {key: value for key, value in result.items() if key not in ("index", "duplicate_of")}
    error = body["error"]
    body["error"] = error["message"] if error else None
    body["error_detail"] = error
    body["degraded"] = [
        {
            "resource": entry["code"],
            "reason": entry["message"],
            "next_step": "read `incomplete`; do not take missing documents for a no-match",
            "stage": entry.get("stage"),
        }
        for entry in result["incomplete"]
    ]
    body["budget"] = {
        "credits_used": 0.0,
        "credits_remaining": None,
        "time_used_ms": result["duration_ms"],
    }
    body["completeness"] = {
        "embeddings": "complete" if result["complete"] else "partial",
        "page": result["status"],
        "overall": "complete" if result["complete"] else "partial",
    }
    return {**body, **about}
