"""Who is calling and what they may do: a permission level and a list of namespaces, or all."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from core.errors import ForbiddenError, NotFoundError

T = TypeVar("T")

Permission = Literal["read", "write", "delete", "admin"]

# Each level includes those before it.
PERMISSIONS: Final[tuple[Permission, ...]] = ("read", "write", "delete", "admin")
ALL_NAMESPACES: Final = "*"


@dataclass(frozen=True, slots=True)
class Principal:
    """The holder of a valid key. `namespaces` holds ids, or `*` alone for every namespace."""

    key_id: str
    permission: Permission
    namespaces: tuple[str, ...]
    user: str = ""

    @property
    def is_unbounded(self) -> bool:
        """True if the key is good for every namespace, those to come included."""
        return ALL_NAMESPACES in self.namespaces

    def reaches(self, namespace_id: str) -> bool:
        """Say whether the key is good for that namespace."""
        return self.is_unbounded or namespace_id in self.namespaces

    def allows(self, permission: Permission) -> bool:
        """Say whether the key's level includes `permission`."""
        return PERMISSIONS.index(self.permission) >= PERMISSIONS.index(permission)


def authorize(
    principal: Principal, permission: Permission, namespace_id: str | None = None
) -> None:
    """Raise `ForbiddenError` unless the key allows this, in that namespace if one is given.

    The error never says whether a namespace out of the key's reach exists.
    """
    if namespace_id is not None and not principal.reaches(namespace_id):
        raise _namespace_forbidden(namespace_id)
    if not principal.allows(permission):
        raise ForbiddenError(
            f"this needs a key with permission {permission}; yours has {principal.permission}",
            required=permission,
            granted=principal.permission,
        )


def authorize_everywhere(principal: Principal, permission: Permission) -> None:
    """Raise `ForbiddenError` unless the key has this permission in every namespace."""
    authorize(principal, permission)
    if not principal.is_unbounded:
        raise ForbiddenError("this needs a key for all namespaces; yours is for named ones")


def find_reachable(
    principal: Principal, name: str, find: Callable[[str], T], id_of: Callable[[T], str]
) -> T:
    """Return what `find` finds under a namespace's name or id, if the key reaches it.

    A key of named namespaces is told the same of one that is not its own and of one that is not
    there: `ForbiddenError`. Others get the `NotFoundError` of `find`.
    """
    try:
        found = find(name)
    except NotFoundError:
        if principal.is_unbounded:
            raise
        raise _namespace_forbidden(name) from None
    if not principal.reaches(id_of(found)):
        raise _namespace_forbidden(name)
    return found


def _namespace_forbidden(identifier: str) -> ForbiddenError:
    return ForbiddenError(f"your key does not reach the namespace {identifier!r}")
