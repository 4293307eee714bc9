"""The API on one table: every path, who may call it, what it takes and what it returns."""

from typing import Final

from handlers.http.route import Param, Route, RouteTable

_OPERATIONS: Final = "handlers.http.operations"
_SERVICE: Final = f"{_OPERATIONS}.service"
_NAMESPACES: Final = f"{_OPERATIONS}.namespaces"
_COLLECTIONS: Final = f"{_OPERATIONS}.collections"
_DOCUMENTS: Final = f"{_OPERATIONS}.documents"
_RETRIEVERS: Final = f"{_OPERATIONS}.retrievers"
_EXECUTIONS: Final = f"{_OPERATIONS}.executions"
_KEYS: Final = f"{_OPERATIONS}.keys"
_JOBS: Final = f"{_OPERATIONS}.jobs"
_MODELS: Final = "core.models"
_ANSWERS: Final = "core.models.answers"
_RESOURCES: Final = "core.models.resource_answers"
_RESULTS: Final = "core.models.responses"
_JOB_ANSWERS: Final = "core.models.job_answers"
_SCANS: Final = f"{_OPERATIONS}.scans"
_SCAN_ANSWERS: Final = "core.models.scan_answers"

_PAGE: Final = (
    Param("limit", "integer", "How many to return, 1 to 1000.", "limit"),
    Param("page_size", "integer", "The same as limit.", "limit"),
    Param("offset", "integer", "How many to skip.", "offset"),
    Param("page", "integer", "Which page, from 1.", "page"),
    Param("cursor", "string", "Where the last page ended.", "cursor"),
    Param("next_cursor", "string", "The same as cursor.", "cursor"),
    Param("after", "string", "The same as cursor.", "cursor"),
    Param("include_total", "boolean", "Whether to count all.", "include_total"),
    Param("search", "string", "Part of a name.", "search"),
)
_RETURN: Final = (
    Param("return_presigned_urls", "boolean", "Presign S3-backed media.", "return_presigned_urls",
          either=True),
    Param("return_vectors", "boolean", "Return vectors under their names.", "return_vectors",
          either=True),
)  # fmt: skip  # one entry a line
_EXECUTE: Final = (
    *_RETURN,
    Param("explain", "boolean", "Add the plan to the answer.", "explain", either=True),
    Param(
        "skip_cache", "boolean", "Accepted: results are never cached.", "skip_cache", either=True
    ),
    Param("include_legacy_results", "boolean", "Repeat `documents` as `results`."),
)
_FILES: Final = (
    Param("limit", "integer", "How many files to return, 1 to 1000.", "limit"),
    Param("cursor", "string", "Where the last page ended.", "cursor"),
)
_FLAGS: Final = tuple(Param(param.name, param.kind, param.description) for param in _RETURN)
_MAX_DOCUMENTS: Final = {
    "documents": ("max_documents", 1000),
    "document_ids": ("max_documents", 1000),
    "updates": ("max_documents", 1000),
}

_LIST = f"{_MODELS}.listing:ListRequest"
_RETRIEVER = "/v1/retrievers/{retriever}"
_COLLECTION = "/v1/collections/{collection}"
_NAMESPACE = "/v1/namespaces/{namespace}"
_USER_KEYS = "/v1/organizations/users/{user_email}/api-keys"

ROUTES: Final = (
    # The service itself
    Route("GET", "/v1/health", f"{_SERVICE}:get_health", "Whether the service answers", "open",
          answer=f"{_ANSWERS}:Health"),
    Route("GET", "/v1/openapi.json", f"{_SERVICE}:get_openapi", "This document", "open"),
    Route("GET", "/docs", f"{_SERVICE}:get_docs", "A page to read and try the API", "open"),
    Route("GET", "/v1/retrievers/stages", f"{_SERVICE}:list_stages", "The stages there are", "open",
          answer=f"{_RESOURCES}:StageList",
          query=(Param("category", "string", "Only stages of this category."),)),
    Route("GET", "/v1/discovery/stages", f"{_SERVICE}:discover_stages",
          "The stages there are, with what they cost", "open", answer=f"{_RESOURCES}:StageList"),
    Route("GET", "/v1/discovery/extractors", f"{_SERVICE}:list_extractors",
          "The extractors there are", "open", answer=f"{_RESOURCES}:ExtractorList"),
    # Keys
    Route("POST", _USER_KEYS, f"{_KEYS}:create_api_key", "Make an API key", "account", "admin",
          body=f"{_MODELS}.keys:KeyCreate", answer=f"{_RESOURCES}:KeyCreated"),
    Route("GET", _USER_KEYS, f"{_KEYS}:list_api_keys", "List a user's API keys", "account", "admin",
          answer=f"{_RESOURCES}:KeyList",
          query=(Param("include_revoked", "boolean", "Also those revoked."),)),
    Route("DELETE", f"{_USER_KEYS}/{{key_name}}", f"{_KEYS}:revoke_api_key", "Revoke an API key",
          "account", "admin", answer=f"{_ANSWERS}:Done"),
    # Namespaces
    Route("POST", "/v1/namespaces", f"{_NAMESPACES}:create_namespace", "Create a namespace",
          "account", "write", body=f"{_MODELS}.namespaces:NamespaceCreate",
          answer=f"{_RESOURCES}:NamespaceAnswer"),
    Route("POST", "/v1/namespaces/standalone", f"{_NAMESPACES}:create_standalone_namespace",
          "Create a namespace whose documents bring their own vectors", "account", "write",
          body=f"{_MODELS}.namespaces:StandaloneNamespaceCreate",
          answer=f"{_RESOURCES}:NamespaceAnswer"),
    Route("GET", "/v1/namespaces", f"{_NAMESPACES}:list_namespaces", "List namespaces", "account",
          body=_LIST, answer=f"{_RESOURCES}:NamespaceList", query=_PAGE),
    Route("POST", "/v1/namespaces/list", f"{_NAMESPACES}:search_namespaces", "Search namespaces",
          "account", body=_LIST, answer=f"{_RESOURCES}:NamespaceList", query=_PAGE),
    Route("GET", _NAMESPACE, f"{_NAMESPACES}:get_namespace", "Get a namespace", "path",
          answer=f"{_RESOURCES}:NamespaceAnswer"),
    Route("PATCH", _NAMESPACE, f"{_NAMESPACES}:patch_namespace", "Change a namespace", "path",
          "write", body=f"{_MODELS}.namespaces:NamespacePatch",
          answer=f"{_RESOURCES}:NamespaceAnswer"),
    Route("DELETE", _NAMESPACE, f"{_NAMESPACES}:delete_namespace",
          "Delete a namespace and all that is in it", "account", "delete",
          answer=f"{_ANSWERS}:Done"),
    Route("POST", f"{_NAMESPACE}/documents/upsert", f"{_NAMESPACES}:upsert_documents",
          "Store up to 1,000 documents", "path", "write",
          body=f"{_MODELS}.documents:UpsertRequest", answer=f"{_RESOURCES}:Upserted",
          limits=_MAX_DOCUMENTS),
    Route("GET", f"{_NAMESPACE}/documents/{{document_id}}",
          f"{_NAMESPACES}:get_namespace_document", "Get a document of the default collection",
          "path", answer=f"{_RESOURCES}:Document", query=_FLAGS),
    # Collections
    Route("POST", "/v1/collections", f"{_COLLECTIONS}:create_collection", "Create a collection",
          permission="write", body=f"{_MODELS}.collections:CollectionCreate",
          answer=f"{_RESOURCES}:CollectionAnswer"),
    Route("GET", "/v1/collections", f"{_COLLECTIONS}:list_collections", "List collections",
          body=_LIST, answer=f"{_RESOURCES}:CollectionList", query=_PAGE),
    Route("POST", "/v1/collections/list", f"{_COLLECTIONS}:search_collections",
          "Search collections", body=_LIST, answer=f"{_RESOURCES}:CollectionList", query=_PAGE),
    Route("GET", _COLLECTION, f"{_COLLECTIONS}:get_collection", "Get a collection",
          answer=f"{_RESOURCES}:CollectionAnswer"),
    Route("PATCH", _COLLECTION, f"{_COLLECTIONS}:patch_collection", "Change a collection",
          permission="write", body=f"{_MODELS}.collections:CollectionPatch",
          answer=f"{_RESOURCES}:CollectionAnswer"),
    Route("DELETE", _COLLECTION, f"{_COLLECTIONS}:delete_collection",
          "Delete a collection and its documents", permission="delete",
          answer=f"{_ANSWERS}:Done"),
    # Documents
    Route("POST", f"{_COLLECTION}/documents", f"{_DOCUMENTS}:create_document",
          "Store one document", permission="write", body=f"{_MODELS}.documents:DocumentCreate",
          answer=f"{_RESOURCES}:Document"),
    Route("GET", f"{_COLLECTION}/documents", f"{_DOCUMENTS}:browse_documents", "List documents",
          body=f"{_MODELS}.documents:DocumentList", answer=f"{_RESOURCES}:DocumentPage",
          query=(*_PAGE, *_RETURN)),
    Route("POST", f"{_COLLECTION}/documents/list", f"{_DOCUMENTS}:list_documents",
          "List documents that pass filters", body=f"{_MODELS}.documents:DocumentList",
          answer=f"{_RESOURCES}:DocumentPage", query=(*_PAGE, *_RETURN)),
    Route("GET", f"{_COLLECTION}/documents/count", f"{_DOCUMENTS}:count_documents",
          "Count documents", answer=f"{_RESOURCES}:Count"),
    Route("POST", f"{_COLLECTION}/documents/batch", f"{_DOCUMENTS}:update_documents",
          "Change several documents, all or none", permission="write",
          body=f"{_MODELS}.documents:DocumentUpdates", answer=f"{_RESOURCES}:Updated",
          limits=_MAX_DOCUMENTS),
    Route("DELETE", f"{_COLLECTION}/documents/batch", f"{_DOCUMENTS}:delete_documents",
          "Delete documents by ids or by a filter", permission="delete",
          body=f"{_MODELS}.documents:DocumentDelete", answer=f"{_RESOURCES}:Deleted",
          limits=_MAX_DOCUMENTS),
    Route("GET", f"{_COLLECTION}/documents/{{document_id}}", f"{_DOCUMENTS}:get_document",
          "Get a document", answer=f"{_RESOURCES}:Document", query=_FLAGS),
    Route("PATCH", f"{_COLLECTION}/documents/{{document_id}}", f"{_DOCUMENTS}:patch_document",
          "Change a document by a JSON merge patch", permission="write", body="object",
          answer=f"{_RESOURCES}:Document"),
    Route("DELETE", f"{_COLLECTION}/documents/{{document_id}}", f"{_DOCUMENTS}:delete_document",
          "Delete a document", permission="delete", answer=f"{_ANSWERS}:Done"),
    Route("POST", "/v1/documents/batch-get", f"{_DOCUMENTS}:batch_get_documents",
          "Get up to 1,000 documents", body=f"{_MODELS}.documents:DocumentIds",
          answer=f"{_RESOURCES}:DocumentsFound", limits=_MAX_DOCUMENTS),
    # Retrievers
    Route("POST", "/v1/retrievers", f"{_RETRIEVERS}:create_retriever", "Create a retriever",
          permission="write", body=f"{_MODELS}.retriever:RetrieverCreate",
          answer=f"{_RESOURCES}:RetrieverAnswer"),
    Route("GET", "/v1/retrievers", f"{_RETRIEVERS}:list_retrievers", "List retrievers",
          body=_LIST, answer=f"{_RESOURCES}:RetrieverList", query=_PAGE),
    Route("POST", "/v1/retrievers/list", f"{_RETRIEVERS}:search_retrievers", "Search retrievers",
          body=_LIST, answer=f"{_RESOURCES}:RetrieverList", query=_PAGE),
    Route("POST", "/v1/retrievers/execute", f"{_EXECUTIONS}:execute_adhoc",
          "Run stages that come with the query", body=f"{_MODELS}.execution:AdhocRequest",
          answer=f"{_RESULTS}:ExecutionAnswer", query=_EXECUTE, streams=True),
    Route("GET", _RETRIEVER, f"{_RETRIEVERS}:get_retriever", "Get a retriever",
          answer=f"{_RESOURCES}:RetrieverAnswer"),
    Route("PATCH", _RETRIEVER, f"{_RETRIEVERS}:patch_retriever",
          "Change a retriever, making its next version", permission="write",
          body=f"{_MODELS}.retriever:RetrieverPatch", answer=f"{_RESOURCES}:RetrieverPatched"),
    Route("DELETE", _RETRIEVER, f"{_RETRIEVERS}:delete_retriever", "Delete a retriever",
          permission="delete", answer=f"{_ANSWERS}:Done"),
    Route("POST", f"{_RETRIEVER}/clone", f"{_RETRIEVERS}:clone_retriever",
          "Copy a retriever under a new name", permission="write",
          body=f"{_MODELS}.retriever:RetrieverClone", answer=f"{_RESOURCES}:RetrieverCloned"),
    Route("POST", f"{_RETRIEVER}/execute", f"{_EXECUTIONS}:execute_retriever",
          "Run a retriever against one query", body=f"{_MODELS}.execution:ExecuteRequest",
          answer=f"{_RESULTS}:ExecutionAnswer", query=_EXECUTE, streams=True),
    Route("POST", f"{_RETRIEVER}/execute/batch", f"{_EXECUTIONS}:execute_batch",
          "Run a retriever against up to 50 queries", body=f"{_MODELS}.execution:BatchRequest",
          answer=f"{_RESULTS}:BatchAnswer", accepted=f"{_JOB_ANSWERS}:ContinuedBatchAnswer",
          query=_RETURN, streams=True,
          limits={"queries": ("max_queries", 50)}),
    Route("POST", f"{_RETRIEVER}/execute/explain", f"{_RETRIEVERS}:explain_retriever",
          "Show a retriever's plan, before and after, and why",
          body=f"{_MODELS}.execution:ExplainRequest", answer=f"{_RESULTS}:ExplainAnswer"),
    Route("POST", f"{_RETRIEVER}/explain", f"{_RETRIEVERS}:explain_retriever_plan",
          "The same, under its older path", body=f"{_MODELS}.execution:ExplainRequest",
          answer=f"{_RESULTS}:ExplainAnswer"),
    # Jobs
    Route("POST", "/v1/jobs", f"{_JOBS}:create_job",
          "Run retrievers on up to a million items, or continue that",
          body=f"{_MODELS}.jobs:JobCreate",
          accepted=f"{_JOB_ANSWERS}:JobAnswer",
          limits={"items": ("max_items", 10_000), "retrievers": ("max_retrievers", 10)}),
    Route("GET", "/v1/jobs", f"{_JOBS}:list_jobs", "List jobs", body=_LIST,
          answer=f"{_JOB_ANSWERS}:JobPage", query=_PAGE),
    Route("GET", "/v1/jobs/{job}", f"{_JOBS}:get_job",
          "A job's progress, cost, and a page of its result files", body=f"{_MODELS}.jobs:JobGet",
          answer=f"{_JOB_ANSWERS}:JobAnswer", query=_FILES),
    Route("DELETE", "/v1/jobs/{job}", f"{_JOBS}:stop_job", "Stop a job; what is done stays",
          permission="write", answer=f"{_JOB_ANSWERS}:JobAnswer"),
    # Scans
    Route("POST", "/v1/scans", f"{_SCANS}:create_scan",
          "Run up to 50 files against up to 10 retrievers, with a verdict on each",
          body=f"{_MODELS}.scans:ScanRequest", answer=f"{_SCAN_ANSWERS}:ScanAnswer",
          query=_RETURN, streams=True,
          limits={"files": ("max_files", 50), "retrievers": ("max_retrievers", 10)}),
    Route("GET", "/v1/scans/{scan}", f"{_SCANS}:get_scan",
          "Get a scan again, with fresh presigned URLs if it was asked for any",
          answer=f"{_SCAN_ANSWERS}:ScanAnswer",
          query=(Param("return_presigned_urls", "boolean", "Presign S3-backed media."),)),
)  # fmt: skip  # a table: one entry per operation, not one line per argument

TABLE: Final = RouteTable(ROUTES)
