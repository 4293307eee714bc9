"""What AWS would see of us: run `python -m benchmarks.aws`. Takes two minutes, uses no AWS.

Init of the API function against boto3 and two clients, a warm health call against an empty
handler's, and loading a collection's image from S3 against copying its bytes.
"""

import json
import tempfile
from pathlib import Path

from benchmarks.aws_load import COUNT, DIMENSION, TURNS, measure_load
from benchmarks.aws_runtime import INIT_TURNS, WARM_CALLS, measure_init, measure_warm


def main() -> None:
    """Measure one after the other, and print the medians."""
    print(f"init under awslambdaric, CPU, median of {INIT_TURNS}")
    init = measure_init()
    _show(init)
    print(f"warm calls under awslambdaric, median of {WARM_CALLS}")
    warm = measure_warm()
    _show(warm)
    with tempfile.TemporaryDirectory(prefix="trawl-bench-") as folder:
        load, size = measure_load(Path(folder))
    print(f"image of {COUNT:,} x {DIMENSION}, {size / 1e6:,.0f} MB from S3, median of {TURNS}")
    _show(load)
    built, clients, *_ = init.values()
    health, empty = warm.values()
    ours, *plain = load.values()
    ratios = {
        "init_ratio": round(built / clients, 3),
        "warm_ratio": round(health / empty, 3),
        "load_ratio": round(ours / min(plain), 3),
    }
    print(json.dumps(ratios))


def _show(milliseconds: dict[str, float]) -> None:
    for name, value in milliseconds.items():
        print(f"  {name:42}{value:10.3f} ms", flush=True)


if __name__ == "__main__":
    main()
