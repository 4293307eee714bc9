"""After a deploy: where the service is, and the first admin key if there is none yet.

`python -m infra.handover OUTPUTS` reads what `cdk deploy --outputs-file` wrote. With `--exports`
it prints the variables that let `trawl` work on the deployment's table, for a shell to take.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from core.settings import variables

# Setting -> the output that gives it.
_SETTINGS = {
    "table": "TableName",
    "assets_bucket": "AssetsBucketName",
    "index_bucket": "IndexBucketName",
    "results_bucket": "ResultsBucketName",
    "ingest_queue": "IngestQueueUrl",
    "ingest_dead_letters": "IngestDeadLettersUrl",
    # Without it, jobs would be taken for those of threads of one's own, and run a second time.
    "job_state_machine": "JobStateMachineArn",
}
_OUTPUTS = ("ApiUrl", *_SETTINGS.values())
# Only deployments with `s3vectors` have it; without it `trawl` could not open their collections.
_OPTIONAL = {"vector_bucket": "VectorBucketName"}
_TRAWL = str(Path(sys.executable).with_name("trawl"))


class HandoverError(Exception):
    """The deployment's outputs or its table cannot be read; the message says why."""


def read_outputs(path: Path) -> dict[str, str]:
    """Return the outputs of the one stack in the file."""
    try:
        [outputs] = json.loads(path.read_text()).values()
        given = [name for name in _OPTIONAL.values() if name in outputs]
        return {name: str(outputs[name]) for name in (*_OUTPUTS, *given)}
    except (OSError, ValueError, AttributeError, LookupError, TypeError) as error:
        raise HandoverError(f"{path} holds no stack's outputs: deploy first") from error


def exports_of(outputs: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which `trawl` works on the deployment itself."""
    given = {setting: name for setting, name in _OPTIONAL.items() if name in outputs}
    return variables(**{setting: outputs[name] for setting, name in (_SETTINGS | given).items()})


def hand_over(outputs: Mapping[str, str]) -> None:
    """Print the address; make and print an admin key unless the table has keys already."""
    environment = {
        # A server or folder that the shell names is another service than this one.
        **{k: v for k, v in os.environ.items() if not k.startswith("TRAWL_")},
        **exports_of(outputs),
    }
    print(f"Trawl answers on {outputs['ApiUrl']}")
    if json.loads(_trawl(["keys", "list", "--revoked", "--json"], environment)):
        print("It has keys already: trawl keys create makes more")
        return
    key = _trawl(["keys", "create", "owner", "--admin"], environment).strip()
    print(f"Admin key, shown this once: {key}")


def _trawl(arguments: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(  # noqa: S603 - our own command beside this interpreter
        [_TRAWL, *arguments], env=dict(environment), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise HandoverError(f"trawl {' '.join(arguments)} failed:\n{done.stderr.strip()}")
    return done.stdout


def main() -> int:
    """Run the command; 1 with a message if there is nothing to hand over."""
    parser = argparse.ArgumentParser(prog="python -m infra.handover", description=__doc__)
    parser.add_argument("outputs", type=Path)
    parser.add_argument("--exports", action="store_true")
    arguments = parser.parse_args()
    try:
        outputs = read_outputs(arguments.outputs)
        if arguments.exports:
            for name, value in exports_of(outputs).items():
                print(f"export {name}={shlex.quote(value)}")
        else:
            hand_over(outputs)
    except HandoverError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
