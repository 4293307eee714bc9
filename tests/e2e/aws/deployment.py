"""Trawl deployed to the emulator, by the same `make` that a user types."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from typing import Any

import boto3

from tests.e2e.aws.emulator import REGION, Emulator, python_version
from tests.imports import ROOT

# Two runs in one tree at once need a name each.
STAGE = os.environ.get("E2E_STAGE", "e2e")
_OUTPUTS = ROOT / "build" / "deployed" / f"{STAGE}.json"


@dataclass(frozen=True, slots=True)
class Deployment:
    """The live stack's outputs, its admin key, and what `make deploy` said."""

    emulator: Emulator
    outputs: dict[str, str]
    key: str
    said: str

    @property
    def base_url(self) -> str:
        """The stage's address on the emulator: its own needs a name server."""
        api = re.fullmatch(r"https://([a-z0-9]+)\.execute-api\..*/v1", self.outputs["ApiUrl"])
        assert api, self.outputs["ApiUrl"]
        return f"{self.emulator.url}/_aws/execute-api/{api[1]}/$default"

    def client(self, service: str) -> Any:
        """Return a client with the rights of the account's owner."""
        return boto3.client(service, region_name=REGION)  # type: ignore[call-overload]  # any service


def make(emulator: Emulator, target: str, context: str = "") -> str:
    """Run a target of the Makefile on the emulator and return what it printed."""
    command = [
        *("make", "--no-print-directory", target, f"STAGE={STAGE}", "APPROVAL=never"),
        # Every chunk that is worked on at once is a process of this machine.
        f"CDK_CONTEXT=-c wheels={python_version()} -c job_concurrency=2 {context}",
    ]
    done = subprocess.run(  # noqa: S603 - our own Makefile
        command,
        cwd=ROOT,
        env=emulator.environment,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def deploy(emulator: Emulator) -> Deployment:
    """Deploy: a fresh account, an unmodified bootstrap and stack; the defaults, and one extra."""
    said = make(emulator, "deploy", "-c media_extras=logo")
    [outputs] = json.loads(_OUTPUTS.read_text()).values()
    key = re.search(r"shown this once: (sk_\S+)", said)
    assert key, said
    return Deployment(emulator, outputs, key[1], said)


def run_trawl(deployment: Deployment, *arguments: str) -> str:
    """Run the `trawl` command on the deployment's own table, as `make deployed` has it."""
    exports = make(deployment.emulator, "deployed")
    given = dict(re.findall(r"^export (\w+)=(\S+)$", exports, re.MULTILINE))
    done = subprocess.run(  # noqa: S603 - our own command
        [str(ROOT / ".venv" / "bin" / "trawl"), *arguments],
        env={**os.environ, **deployment.emulator.environment, **given},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
