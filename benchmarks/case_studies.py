"""Case studies and published networks compared with PyTorch, with the same weights: differences and seconds.

``python -m benchmarks.case_studies [name ...]`` compares the named networks, or all of them. Logits are compared with
PyTorch's in float32 and must differ by less than 1e-4. Loss, gradients and statistics of a training step are compared
with PyTorch's in float64, and PyTorch's float32 is compared with its float64 too: in deep networks some RELU and
POOL(max) take the other side of their kink in float32, and the gradients of the first layers show it on both sides.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

from benchmarks.arguments import whole_number
from benchmarks.machine import Side, description
from benchmarks.peers import require
from tests.integration import case_studies, torch_case_studies
from tests.integration.case_studies import STUDIES

COLUMNS = (
    "network",
    "parameters",
    "logits",
    "loss",
    "gradients",
    "of PyTorch",
    "statistics",
    "seconds forward",
    "of PyTorch",
    "seconds of a step",
    "of PyTorch",
)


def main():
    arguments = parse()
    print(description(arguments.threads))
    print(f"{arguments.n} images; largest relative differences\n")
    ours, theirs = Side(arguments.threads), Side(arguments.threads)
    print(row(COLUMNS), row(["---"] * len(COLUMNS)), sep="\n")
    failed = []
    for name in arguments.names or STUDIES:
        record = compare(name, arguments, ours, theirs)
        print(row(record.values()), flush=True)
        # The largest difference of all arrays depends on chance: which activations change sides differs from PyTorch's.
        if not record["logits"] < 1e-4 or not record["gradients"] < max(1e-2, 10 * record["their gradients"]):
            failed.append(name)
    sys.exit(f"differences larger than rounding explains: {', '.join(failed)}" if failed else 0)


def compare(name, arguments, ours, theirs):
    """Return one row of the table as a dict."""
    x, targets = case_studies.batch(name, arguments.n)
    found, seconds = ours.run(timed, case_studies.logits, name, x, arguments.threads)
    expected, their_seconds = theirs.run(timed, torch_case_studies.logits, name, x)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{side}.npz" for side in ("ours", "float32", "float64")]
        step = ours.run(timed, save_training_answers, paths[0], name, x, targets, arguments.threads)[1]
        save = torch_case_studies.save_training_answers
        their_step = theirs.run(timed, save, paths[1], name, x, targets)[1]
        theirs.run(save, paths[2], name, x, targets, 0, "float64")
        answers, float32, float64 = (np.load(path) for path in paths)
        kinds = {name.split()[0] for name in float64.files}
        statistics = [case_studies.worst(answers, float64, kind)[0] for kind in ("mean", "variance") if kind in kinds]
        return {
            "network": name,
            "parameters": f"{case_studies.bound(name).summary().n_params:,}",
            "logits": float(np.abs(found - expected).max() / np.abs(expected).max()),
            "loss": case_studies.worst(answers, float64, "loss")[0],
            "gradients": case_studies.worst(answers, float64, "d_")[0],
            "their gradients": case_studies.worst(float32, float64, "d_")[0],
            "statistics": max(statistics, default=""),
            "seconds forward": f"{seconds:.2f}",
            "their seconds forward": f"{their_seconds:.2f}",
            "seconds of a step": f"{step:.2f}",
            "their seconds of a step": f"{their_step:.2f}",
        }


def save_training_answers(path, *arguments):
    np.savez(path, **case_studies.training_answers(*arguments))


def timed(function, *arguments):
    """Return the result of function(*arguments) and its seconds, which include drawing the weights."""
    started = perf_counter()
    found = function(*arguments)
    return found, perf_counter() - started


def row(values):
    return f"| {' | '.join(f'{value:.0e}' if isinstance(value, float) else str(value) for value in values)} |"


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="name", help=f"any of {', '.join(STUDIES)} (default: all)")
    parser.add_argument("--n", type=whole_number(1), default=2, help="images (default: 2)")
    parser.add_argument(
        "--threads", type=whole_number(1), default=os.cpu_count(), help="threads of each side (default: all)"
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in STUDIES]
    if unknown:
        parser.error(f"unknown case studies: {', '.join(unknown)}; the known ones are {', '.join(STUDIES)}")
    require(parser, "torch")
    return arguments


if __name__ == "__main__":
    main()
