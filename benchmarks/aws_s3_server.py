"""An S3 server on this machine, for as long as a benchmark takes: SeaweedFS, in a folder."""

import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

_KEY, _SECRET = "bench", "bench-secret"
_CONFIG = (
    f'{{"identities": [{{"name": "bench", "actions": ["Admin", "Read", "Write", "List"],'
    f' "credentials": [{{"accessKey": "{_KEY}", "secretKey": "{_SECRET}"}}]}}]}}'
)
_READY_S = 60.0
# Where the server puts its sockets, whatever it is told.
_SOCKETS = Path("/tmp")  # noqa: S108 - only what bears our ports' numbers is looked at
BUCKET = "bench-index"


@contextmanager
def running_s3(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the environment that leads clients to a server with an empty bucket, `BUCKET`."""
    program = Path(sysconfig.get_path("scripts")) / "weed"
    if not program.exists():
        raise FileNotFoundError(f"no {program}: `make bench-aws` installs it")
    config, data = folder / "s3.json", folder / "data"
    config.write_text(_CONFIG)
    data.mkdir()
    ports = _free_ports(8)
    names: tuple[str, ...] = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc")
    names += ("filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc")
    command = [
        *(str(program), "server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-dir={data}"),
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
        *(f"-s3.config={config}", "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false"),
        *("-master.telemetry=false", "-master.volumeSizeLimitMB=1024", "-volume.max=0"),
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)  # noqa: S603 - our own
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports[6]}",
        "AWS_ACCESS_KEY_ID": _KEY,
        "AWS_SECRET_ACCESS_KEY": _SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    try:
        _make_bucket(environment, server)
        yield environment
    finally:
        # Its data is not kept, and an orderly end takes it ten seconds.
        server.kill()
        server.wait()
        shutil.rmtree(data, ignore_errors=True)
        for port in ports:
            for left in _SOCKETS.glob(f"seaweedfs-*-{port}.sock"):
                left.unlink()


def client_of(environment: dict[str, str]) -> Any:
    """Return a boto3 client of the server."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_DEFAULT_REGION"],
    )


def _make_bucket(environment: dict[str, str], server: "subprocess.Popen[bytes]") -> None:
    """Wait until the server takes an object."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = client_of(environment)
    until = time.monotonic() + _READY_S
    while True:
        try:
            client.create_bucket(Bucket=BUCKET)
            client.put_object(Bucket=BUCKET, Key="ready", Body=b"ready")
            return
        except (BotoCoreError, ClientError) as error:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the S3 server did not start (exit {server.poll()})") from error
            time.sleep(0.25)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]
