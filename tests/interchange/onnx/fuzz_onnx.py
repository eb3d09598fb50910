"""Read damaged ONNX files: each is refused with a ValueError or loaded, in bounded time and memory.

Run in a process of its own: ``python -m tests.interchange.onnx.fuzz_onnx SEED COUNT``. Half of the files have other
bytes; the other half have other dimensions, attributes, names, operators or numbers in intact messages.
"""

import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from skconvnet.interchange import write_onnx
from skconvnet.interchange.onnx.reader import read_onnx
from tests.interchange.onnx.cases import NETWORKS, drawn, model_of
from tests.interchange.onnx.test_operators import READ

_MEMORY = 8 * 2**30  # bytes of addresses
onnx = pytest.importorskip("onnx")
NUMBERS = (-(2**63), -1, 0, 1, 2, 3, 5, 7, 2**20, 2**31, 2**40, 2**62)
REALS = (np.nan, np.inf, -1.0, 0.0, 1e-30, 1e30)


def models():
    """Models of the writer and of exporters."""
    written = [write_onnx(drawn(*network)) for network in NETWORKS.values()]
    return written + [model_of(nodes, constants) for nodes, constants, _ in READ.values()]


def mutate(rng, message, others):
    """Change a field somewhere in a message of protobuf."""
    while True:
        fields = message.ListFields()
        if not fields:
            return
        field, value = fields[rng.integers(len(fields))]
        if field.type != field.TYPE_MESSAGE or rng.random() < 0.05:
            break
        message = value[rng.integers(len(value))] if hasattr(value, "append") or hasattr(value, "add") else value
    if hasattr(value, "append") or hasattr(value, "add"):
        place = int(rng.integers(len(value)))
        action = rng.integers(3)
        if action == 0:
            del value[place]
        elif field.type == field.TYPE_MESSAGE:
            value.add().CopyFrom(value[place])
        else:
            value[place] = other(rng, value[place], others)
    elif field.type == field.TYPE_MESSAGE:
        message.ClearField(field.name)
    else:
        setattr(message, field.name, other(rng, value, others))


def other(rng, value, others):
    """Another value of the same type."""
    if isinstance(value, str):
        return str(rng.choice(others))
    if isinstance(value, bytes):
        return value[: rng.integers(len(value) + 1)]
    if isinstance(value, float):
        return float(rng.choice(REALS))
    return int(NUMBERS[rng.integers(len(NUMBERS))]) if rng.random() < 0.7 else int(rng.integers(0, 30))


def damaged(rng, model):
    """The bytes of a damaged file."""
    if rng.random() < 0.5:
        content = bytearray(model.SerializeToString())
        for place in rng.integers(0, len(content), rng.integers(1, 5)):
            content[place] = rng.integers(0, 256)
        return bytes(content[: rng.integers(1, len(content))] if rng.random() < 0.1 else content)
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    names = [name for node in model.graph.node for name in (node.op_type, *node.input, *node.output)]
    for _ in range(rng.integers(1, 4)):
        try:
            mutate(rng, changed, names)
        except (ValueError, TypeError, OverflowError):  # a number that the field cannot have
            continue
    return changed.SerializeToString()


def main(seed, count):
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    rng, kinds, outcomes, slowest = np.random.default_rng(seed), models(), Counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        for number in range(count):
            path.write_bytes(damaged(rng, kinds[rng.integers(len(kinds))]))
            start = time.process_time()
            try:
                read_onnx(path)
                outcomes["loaded"] += 1
            except ValueError as error:
                outcomes["refused"] += 1
                if "cannot be read" in str(error):
                    outcomes["of these with the name of a node"] += 1
            except BaseException:
                Path(f"/tmp/fuzz_onnx_{seed}_{number}.onnx").write_bytes(path.read_bytes())
                raise
            slowest = max(slowest, time.process_time() - start)
    print(
        dict(outcomes), f"slowest {slowest:.2f} s, {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10:.0f} MiB"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
