"""Peak memory of retraining on 1,000 and on 10,000 pictures.

Only the bottlenecks may grow with the number of pictures; the last line says whether
anything else did.

    python -m benchmarks.memory --architecture FILE.tflite
"""

from __future__ import annotations

import shutil
import sys
from functools import partial

from benchmarks import measure
from benchmarks.datasets import WORK_DIR, generated
from benchmarks.measure import BYTES_PER_MB, Contender
from benchmarks.retrain import edgeclf_command


def bottleneck_mb(architecture: str | None) -> float:
    """Return the size of one picture's bottleneck, float32, in MB (10^6 bytes)."""
    program = (
        "import edgeclf.zoo, sys; print(edgeclf.zoo.load_backbone(*sys.argv[1:]).depth)"
    )
    command = [sys.executable, "-c", program]
    command += [] if architecture is None else [architecture]
    depth = int(measure.run_once(Contender("depth", command)).output)
    return depth * 4 / BYTES_PER_MB


def main() -> int:
    """Measure, print the table."""
    parser = measure.parser(__doc__, runs=1)
    parser.add_argument(
        "--pictures", type=measure.positive, nargs=2, default=[1000, 10_000]
    )
    args = parser.parse_args()

    contenders = []
    for count in args.pictures:
        folder = WORK_DIR / f"memory-{count}"
        command = edgeclf_command(generated(count), folder, args.architecture)
        clear = partial(shutil.rmtree, folder, ignore_errors=True)
        contenders.append(Contender(f"{count:,} pictures", command, before=clear))

    measured = measure.alternate(contenders, args.runs, warmups=0)
    few = contenders[0].name
    rows = measure.summarize(measured, few)
    measure.print_rows(rows, few)
    growth = rows[1].peak_mb.median - rows[0].peak_mb.median
    more = args.pictures[1] - args.pictures[0]
    bottlenecks = more * bottleneck_mb(args.architecture)
    print(
        f"\n{more:,} more pictures: {growth:+.1f} MB, of which their bottlenecks are "
        f"{bottlenecks:.1f} MB and {growth - bottlenecks:+.1f} MB the rest"
    )
    measure.write_json(
        args.json,
        benchmark="memory",
        rows=rows,
        runs=measured,
        growth_mb=growth,
        bottlenecks_mb=bottlenecks,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
