"""Operations on API keys. A key never makes one that reaches further than itself."""

from core.auth.keys import ApiKey
from core.auth.principals import ALL_NAMESPACES, PERMISSIONS, Principal, find_reachable
from core.errors import ForbiddenError, NotFoundError
from core.models.keys import KeyCreate
from core.types import JsonObject
from handlers.http.call import Call


def create_api_key(call: Call) -> JsonObject:
    """Make a key; its text is in this answer and never again."""
    request: KeyCreate = call.body
    key, text = call.app.keys.create(
        request.name,
        max(request.permissions, key=PERMISSIONS.index),
        namespaces=_namespaces(call, request.namespaces),
        user=call.path["user_email"],
        description=request.description,
        created_by=call.principal.key_id,
        expires_at=request.expires_at,
    )
    return {
        **_describe(key, call),
        "key": text,
        "key_hash": key.secret_sha256,
        "internal_id": key.key_id,
    }


def list_api_keys(call: Call) -> JsonObject:
    """List a user's keys as far as the caller's own reach, without their secrets."""
    keys = call.app.keys.list(user=call.path["user_email"], revoked=call.flag("include_revoked"))
    shown = [_describe(key, call) for key in keys if _covers(call.principal, key)]
    return {"results": shown, "total": len(shown)}


def revoke_api_key(call: Call) -> JsonObject:
    """End a key, named by its name or its id; it stays in the list as revoked."""
    name = call.path["key_name"]
    key = call.app.keys.find(name, user=call.path["user_email"])
    if not _covers(call.principal, key):
        raise NotFoundError("api key", name)
    call.app.keys.revoke(key, by=call.principal.key_id)
    return {"message": f"api key {key.name} revoked", "success": True}


def _namespaces(call: Call, names: list[str] | None) -> tuple[str, ...]:
    """Return the ids that a new key reaches: at most those of the key that makes it."""
    if names is None:
        return call.principal.namespaces
    if ALL_NAMESPACES in names:
        if not call.principal.is_unbounded:
            raise ForbiddenError("your key is for named namespaces; it cannot make one for all")
        return tuple(names)  # `*` beside others is refused where keys are made

    def identify(name: str) -> str:
        return call.app.namespaces.find(name).namespace_id

    ids = (find_reachable(call.principal, name, identify, id_of=str) for name in names)
    return tuple(dict.fromkeys(ids))


def _covers(principal: Principal, key: ApiKey) -> bool:
    return principal.is_unbounded or set(key.namespaces) <= set(principal.namespaces)


def _describe(key: ApiKey, call: Call) -> JsonObject:
    return {
        "key_id": key.key_id,
        "key_prefix": f"sk_{key.key_id}",
        "name": key.name,
        "user_id": key.user,
        "description": key.description,
        "permissions": [key.permission],
        "namespaces": list(key.namespaces),
        "status": key.status(call.app.keys.now()),
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "revoked_by": key.revoked_by,
    }
