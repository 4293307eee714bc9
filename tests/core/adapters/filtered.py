"""Code run in a process that has put the decoders' system call filter on itself."""

import subprocess
import sys

import pytest

_FILTER = (
    "from core.media.sandbox import deny_syscalls\n"
    "if not deny_syscalls(): os.write(1, b'unsupported'); os._exit(0)\n"
)


def run_filtered(before: str, after: str) -> list[str]:
    """Return the words that `after` wrote to descriptor 1; `before` imports what it needs.

    Skips the test where the kernel or the container takes no filter.
    """
    code = f"import os\n{before}\n{_FILTER}{after}\nos._exit(0)\n"
    run = subprocess.run(  # noqa: S603 - our own code
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    if run.stdout == "unsupported":
        pytest.skip("this kernel or container takes no filter")
    return run.stdout.split()
