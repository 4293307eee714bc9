"""What an operation is handed: the app, who calls, where, and what with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from core.auth.principals import Principal
from core.types import JsonObject
from handlers.http.messages import ApiRequest

if TYPE_CHECKING:
    from core.app import App
    from core.models.namespaces import Namespace


@dataclass(slots=True)
class Call:
    """One authorized, validated request on its way into an operation.

    `body` is the route's model, or plain JSON for a route whose body may hold anything. What an
    operation adds to `facts` reaches the log and the metrics.
    """

    build: "Callable[[], App]"
    request: ApiRequest
    path: Mapping[str, str]
    query: JsonObject
    body: Any
    key_holder: Principal | None = None
    place: "Namespace | None" = None
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def app(self) -> "App":
        """The service; open routes that never ask for it never have it built."""
        return self.build()

    @property
    def principal(self) -> Principal:
        """Who calls; an open route has nobody to ask for."""
        if self.key_holder is None:
            raise RuntimeError("an open route asked who is calling")
        return self.key_holder

    @property
    def namespace(self) -> "Namespace":
        """The namespace of the call; a route outside of any has none to ask for."""
        if self.place is None:
            raise RuntimeError("a route without a namespace asked for one")
        return self.place

    def flag(self, name: str) -> bool:
        """Return a boolean query parameter, false if it was not given."""
        return bool(self.query.get(name, False))


def with_urls(call: Call, documents: list[JsonObject], wanted: bool) -> list[JsonObject]:
    """Return stored documents, with presigned URLs beside their media if these are wanted."""
    return call.app.engine.presign(call.namespace, documents) if wanted else documents
