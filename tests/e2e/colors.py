"""Three colours as vectors, stored by the reference's own SDK: what its journeys begin with."""

from typing import Any

VECTORS = {"red": [1.0, 0.0, 0.0], "green": [0.0, 1.0, 0.0], "blue": [0.0, 0.0, 1.0]}
STAGES = [
    {
        "stage_name": "nearest",
        "stage_type": "filter",
        "config": {
            "stage_id": "feature_search",
            "parameters": {
                "searches": [
                    {
                        "feature_uri": "clip",
                        "query": {"input_mode": "vector", "value": "{{INPUT.vector}}"},
                        "top_k": 3,
                    }
                ],
                "final_top_k": 3,
            },
        },
    }
]


def store_colors(sdk: Any) -> Any:
    """Make the namespace `colors` with three documents; return what the SDK answers to those."""
    made = sdk.namespaces.create(
        namespace_id="colors",
        vector_configs=[{"name": "clip", "dimension": 3, "metric": "cosine"}],
    )
    assert made.namespace_id == "colors"
    stored = sdk.namespaces.documents.upsert(
        namespace_id="colors",
        documents=[
            {"document_id": name, "vectors": {"clip": vector}, "payload": {"name": name}}
            for name, vector in VECTORS.items()
        ],
    )
    assert stored.inserted == 3
    return stored


def make_retriever(sdk: Any, **more: Any) -> None:
    """Make the retriever `colors` of its input `vector`."""
    schema = {"vector": {"type": "array", "required": True}}
    sdk.retrievers.create(name="colors", stages=STAGES, input_schema=schema, **more)
