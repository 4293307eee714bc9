"""Fixtures of the catalog's tests."""

from tests.core.catalog.apps import app, namespace

__all__ = ["app", "namespace"]
