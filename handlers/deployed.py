"""The service of a function without SnapStart: built at its first call, from its environment."""

import os
from functools import cache

from core.app import App, build_app
from core.settings import Settings


@cache
def deployed_app() -> App:
    """Return this process's service; `SettingsError` if the environment is wrong."""
    return build_app(Settings.from_environment(os.environ))
