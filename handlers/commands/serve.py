"""`trawl serve`: the API on this machine."""

import errno
import os
from pathlib import Path

import click

from handlers.client_errors import ClientError
from handlers.commands.connection import DEFAULT_DATA


@click.command(short_help="Serve the API on this machine, until Ctrl-C.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="TRAWL_DATA_DIR",
    default=DEFAULT_DATA,
    show_default=True,
    help="Data folder; made if there is none.",
)
@click.option("--access-log", is_flag=True, help="Print a line for every request.")
def serve(port: int, data: Path, access_log: bool) -> None:
    """Serve the API on 127.0.0.1 until Ctrl-C. Port 0 takes a free one.

    The first start on a data folder prints an admin key, once.
    """
    from handlers.local import serve as run

    try:
        run(
            port=port,
            data_dir=data,
            environment=os.environ,
            access_log=access_log,
            announce=click.echo,
        )
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise ClientError(f"port {port} is taken: choose another with --port, or 0") from None
