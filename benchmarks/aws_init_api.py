"""A function that is the API with its service built: what `benchmarks.aws` measures the init of."""

from handlers import api

handler = api.handler
# As the first request that needs it does, and the snapshot before any.
APP = api._app()
