"""A function that is the API with its service built: what `benchmarks.aws` measures the init of."""

import os

from core.app import build_app
from core.settings import Settings
from handlers.api import handler

__all__ = ["APP", "handler"]

APP = build_app(Settings.from_environment(os.environ))
