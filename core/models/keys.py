"""API keys as they are asked for."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from core.models.base import RequestModel

PermissionName = Literal["read", "write", "delete", "admin"]


class KeyCreate(RequestModel):
    """Body of `POST /v1/organizations/users/{user_email}/api-keys`."""

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f/]+$")
    description: str | None = Field(None, max_length=500)
    permissions: list[PermissionName] = Field(
        ["read"],
        min_length=1,
        max_length=4,
        description="Each includes those before it: read, write, delete, admin.",
    )
    namespaces: list[Annotated[str, StringConstraints(min_length=1, max_length=128)]] | None = (
        Field(None, min_length=1, max_length=50, description="Ids or names; default: yours.")
    )
    expires_at: AwareDatetime | None = None
