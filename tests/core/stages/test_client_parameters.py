"""The official client's typed parameters, as it sends them unasked, are understood."""

from typing import Any

import pytest
from mixpeek.models.stage_defs_aggregation_function import StageDefsAggregationFunction
from mixpeek.models.stage_defs_aggregation_operation import StageDefsAggregationOperation
from mixpeek.models.stage_params_aggregate import StageParamsAggregate
from mixpeek.models.stage_params_group_by import StageParamsGroupBy
from mixpeek.models.stage_params_json_transform import StageParamsJsonTransform
from mixpeek.models.stage_params_sample import StageParamsSample
from mixpeek.models.stage_params_sort_attribute import StageParamsSortAttribute
from mixpeek.models.stage_params_sort_relevance import StageParamsSortRelevance

from core.registry import find_stage
from tests.core.stages.running import run_stage

COUNT = StageDefsAggregationOperation(function=StageDefsAggregationFunction.COUNT, alias="c")


@pytest.mark.parametrize(
    ("stage_id", "parameters"),
    [
        ("aggregate", StageParamsAggregate(aggregations=[COUNT])),
        ("group_by", StageParamsGroupBy()),
        ("json_transform", StageParamsJsonTransform()),
        ("sample", StageParamsSample()),
        ("sort_attribute", StageParamsSortAttribute()),
        ("sort_relevance", StageParamsSortRelevance()),
    ],
)
def test_defaults_are_the_same(stage_id: str, parameters: Any) -> None:
    sent = parameters.to_dict()
    model = find_stage(stage_id).params
    ours = model.model_validate({"aggregations": sent["aggregations"]} if "agg" in stage_id else {})
    theirs = model.model_validate(sent)
    unset = {"feature_address"}  # sent as the text "null"
    assert theirs.model_dump(exclude=unset) == ours.model_dump(exclude=unset)
    _, report = run_stage(stage_id, sent, [])
    assert report.warnings == []
