"""Operations on scans: files against retrievers in one call, and reading one again."""

from core.models.scans import ScanRequest
from handlers.http.call import Call
from handlers.http.dispatch import json_response
from handlers.http.messages import ApiResponse


async def create_scan(call: Call) -> ApiResponse:
    """Run up to 50 files against up to 10 retrievers."""
    request: ScanRequest = call.body
    answer = await call.app.scans.run(call.namespace, request, deadline=call.request.deadline)
    response = json_response(200, answer)
    response.facts = {
        "scan_id": answer["scan_id"],
        "files": len(answer["files"]),
        "retrievers": len(answer["retrievers"]),
        **answer["counts"],
    }
    return response


async def get_scan(call: Call) -> ApiResponse:
    """Return a scan again."""
    answer = await call.app.scans.get(
        call.namespace,
        call.path["scan"],
        presign=call.flag("return_presigned_urls"),
        deadline=call.request.deadline,
    )
    return json_response(200, answer)
