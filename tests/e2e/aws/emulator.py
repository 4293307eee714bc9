"""MiniStack, an AWS emulator, as a child process: TLS, signatures and IAM policies are checked.

With `AUTH`, every call is held to the policies of who makes it, functions' roles included: a
permission that the stack forgets fails here. Buckets refuse plain HTTP, hence `USE_SSL`.
"""

import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.imports import ROOT

PROGRAM = ROOT / ".venv" / "ministack" / "bin" / "ministack"
ACCOUNT = "123456789012"
REGION = "us-east-1"
_START_S = 60


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator: its address, the certificates to trust, and where it may write."""

    url: str
    certificates: Path
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """The environment of a program that takes this emulator for AWS."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "TRAWL_", "CDK_", "MAKE", "MFLAGS"))
        }
        nowhere = str(self.folder / "none")
        return {
            **kept,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCOUNT,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": nowhere,
            "AWS_SHARED_CREDENTIALS_FILE": nowhere,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CA_BUNDLE": str(self.certificates),
            "SSL_CERT_FILE": str(self.certificates),
            "NODE_EXTRA_CA_CERTS": str(self.certificates),
            "NODE_NO_WARNINGS": "1",
            # It remembers accounts there.
            "CDK_HOME": str(self.folder / "cdk"),
        }


@contextmanager
def running(folder: Path) -> Iterator[Emulator]:
    """Run the emulator on a free port of this machine alone, and end it by its own process id."""
    if not PROGRAM.exists():
        raise RuntimeError(f"{PROGRAM} is not installed: make e2e does")
    port = _free_port()
    settings = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "LAMBDA_EXECUTOR": "local",
        "AUTH": "true",
        "USE_SSL": "1",
        # They would listen on every interface.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        # Pauses before retries of state machines, as a share of their length.
        "SFN_WAIT_SCALE": "0.05",
        # Where it makes its certificate.
        "TMPDIR": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    certificates = folder / "certificates.pem"
    # Functions inherit these, as they inherit the runtime's on AWS.
    settings |= {"SSL_CERT_FILE": str(certificates), "AWS_CA_BUNDLE": str(certificates)}
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "TRAWL_"))}
    with (folder / "ministack.log").open("w") as log:
        process = subprocess.Popen(  # noqa: S603 - our own environment's program
            [str(PROGRAM)], env={**kept, **settings}, cwd=folder, stdout=log, stderr=log
        )
        try:
            emulator = Emulator(f"https://127.0.0.1:{port}", certificates, folder)
            _await(emulator, process)
            yield emulator
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        # It waits for connections that clients keep open.
        process.wait(3)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def python_version() -> str:
    """Return the version of the interpreter that runs functions: its wheels are bundled."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await(emulator: Emulator, process: "subprocess.Popen[bytes]") -> None:
    """Return once it answers; its certificate is then trusted beside those of the machine."""
    own = emulator.folder / "ministack-tls" / "server.crt"
    ends = time.monotonic() + _START_S
    while time.monotonic() < ends and process.poll() is None:
        try:
            _write_certificates(emulator.certificates, own)
            context = ssl.create_default_context(cafile=str(emulator.certificates))
            health = f"{emulator.url}/_ministack/health"
            with urllib.request.urlopen(health, timeout=5, context=context):  # noqa: S310 - https
                return
        except OSError:  # also URLError, and a certificate that is half written
            time.sleep(0.1)
    log = (emulator.folder / "ministack.log").read_text()[-2000:]
    raise RuntimeError(f"the emulator did not start within {_START_S} s:\n{log}")


def _write_certificates(target: Path, own: Path) -> None:
    machine = os.environ.get("SSL_CERT_FILE") or ssl.get_default_verify_paths().cafile
    roots = Path(machine).read_text() if machine else ""
    target.write_text(f"{roots}\n{own.read_text()}")
