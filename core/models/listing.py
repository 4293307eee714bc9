"""How lists are asked for: filters, one order, and a page by cursor, by offset or by number."""

from typing import Literal

from pydantic import AliasChoices, Field

from core.models.base import RequestModel
from core.types import JsonValue

MAX_PAGE = 1000
MAX_OFFSET = 10_000


class Sort(RequestModel):
    """One field (a dot path) and a direction; equal values are ordered by id."""

    field: str = Field(min_length=1, max_length=500)
    direction: Literal["asc", "desc"] = "asc"


class ListRequest(RequestModel):
    """Body of every `…/list`. The query string takes the page's fields too, and wins."""

    search: str | None = Field(None, max_length=500, description="Part of a name, in any case.")
    filters: JsonValue = None
    sort: Sort | None = None
    case_sensitive: bool = Field(False, description="Whether `search` minds case.")
    limit: int | None = Field(
        None, ge=1, le=MAX_PAGE, validation_alias=AliasChoices("limit", "page_size")
    )
    offset: int | None = Field(None, ge=0, le=MAX_OFFSET)
    page: int | None = Field(
        None, ge=1, le=MAX_OFFSET, description="A page by number, instead of `offset`."
    )
    cursor: str | None = Field(
        None, max_length=2000, validation_alias=AliasChoices("cursor", "next_cursor", "after")
    )
    include_total: bool = True
