"""What the API says of extractors: which can be used, and what the others lack."""

from tests.servers import Server


def test_the_list_says_what_can_be_used_and_what_is_missing(server: Server) -> None:
    listed = server.admin.holding(None).ok("GET", "/v1/discovery/extractors")
    found = {each["feature_extractor_name"]: each for each in listed}
    assert found["image.pdq"]["available"] is True and found["image.pdq"]["missing"] is None
    titan = found["bedrock.titan-multimodal"]
    assert titan["available"] is False and "TRAWL_BEDROCK_MODELS" in titan["missing"]
    assert [each["name"] for each in titan["parameters"]] == ["model", "dimension"]
    assert "leaves this service" in found["https.embedder"]["description"]
    logos = found["logo.sift"]
    assert logos["available"] or "trawl-retriever[logo]" in logos["missing"]


def test_a_collection_that_cannot_work_is_refused_with_what_it_lacks(server: Server) -> None:
    client = server.new_namespace()

    def create(name: str, **parameters: object) -> tuple[int, str]:
        extractor = {"feature_extractor_name": name, "parameters": parameters}
        body = {"collection_name": "some-media", "feature_extractor": extractor}
        answer = client.post("/v1/collections", body)
        return answer.status_code, answer.text

    status, text = create("bedrock.titan-multimodal")
    assert status >= 400 and "TRAWL_BEDROCK_MODELS" in text
    status, text = create("https.embedder", url="https://e.example.com", dimension=8, secret="k3y")
    assert status == 422 and "env:NAME" in text and "k3y" not in text
    status, text = create("https.embedder", url="http://10.0.0.1", dimension=8)
    assert status == 422 and "https" in text
    status, text = create("image.pdq", size=3)
    assert status == 422 and "size" in text
