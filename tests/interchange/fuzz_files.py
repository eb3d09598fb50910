"""Damage files of networks, and load them: a network or a ValueError, and nothing is executed.

``python -m tests.interchange.fuzz_files SEED COUNT`` prints how often what happened. It fails if a file makes Python
import, open, compile or call something, if loading takes more than a few seconds or a gigabyte, or if another error
comes.
"""

import resource
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path
from time import process_time

import numpy as np

from skconvnet.interchange import read_network, write_network
from skconvnet.interchange.layouts import LAYOUTS, wanted_of_torch
from skconvnet.interchange.safetensors import write_safetensors
from tests.interchange.networks import random_network
from tests.interchange.torch_pickles import archive, files_of, old_file

TEXT = "INPUT -> CONV(K=4) -> RELU -> POOL -> CONV(K=2) -> RELU -> FC(5) -> RELU -> DROPOUT -> FC"
GIVEN = {"architecture": TEXT, "image_shape": (4, 4, 3)}
MOST_SECONDS, MOST_BYTES = 5, 2**30
HARMFUL = ("import", "compile", "exec", "os.", "subprocess.", "socket.", "pickle.", "marshal.", "ctypes.", "shutil.")


def sound_files():
    """(name, arguments of loading, parts that are damaged one by one, function that makes the file of them)."""
    own = write_network(random_network())
    size = 8 + int.from_bytes(own[:8], "little")
    network = random_network(TEXT, (4, 4, 3))
    wanted = wanted_of_torch(network.architecture, LAYOUTS["torchvision"]["vgg11"][0](network.architecture))
    arrays = [one for group in wanted for one in group if one is not None]
    arrays = {one.key: np.ones(one.shapes[-1], np.float32) for one in arrays}
    pickled, storages = files_of(arrays)
    return [
        ("own", {}, [own[8:size], own[size:]], with_header),
        ("safetensors", GIVEN, [write_safetensors(arrays, {})], lambda data: data),
        ("archive", GIVEN, [pickled], lambda data: archive(data, storages)),
        ("whole archive", GIVEN, [archive(pickled, storages)], lambda data: data),
        ("old file", GIVEN, [old_file(pickled, storages)], lambda data: data),
    ]


def with_header(header, numbers):
    return len(header).to_bytes(8, "little") + header + numbers


def damaged(rng, data):
    """Bytes with a few of them changed, removed, repeated, or replaced by others of their kind."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place, other = (int(n) for n in rng.integers(0, max(1, len(data)), 2))
        length = int(rng.integers(1, 30))
        kind = rng.integers(6)
        if kind == 0:
            data[place : place + 1] = bytes([rng.integers(256)])
        elif kind == 1:
            del data[place : place + length]
        elif kind == 2:
            data[place:place] = data[other : other + length]
        elif kind == 3:
            data[place : place + length] = data[other : other + length]
        elif kind == 4:
            data[place : place + 8] = int(rng.choice([0, 1, 2**31, 2**62, 2**63 - 1])).to_bytes(8, "little")
        else:
            digit = bytes(rng.choice(list(b"0123456789.-[]{}\"',ctRQbou"), 1).tolist())
            data[place : place + 1] = digit
    return bytes(data)


class Watch:
    """Notices what Python would do besides computing."""

    def __init__(self):
        self.path, self.seen = None, []
        sys.addaudithook(self.note)

    def note(self, event, arguments):
        if self.path is None:
            return
        if event.startswith(HARMFUL) or (event == "open" and str(arguments[0]) != self.path):
            self.seen.append((event, str(arguments)[:200]))


def fuzz(seed, count):
    """Load so many damaged files, and return how often what happened."""
    rng, seen, watch = np.random.default_rng(seed), Counter(), Watch()
    files = sound_files()
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(folder) / "file"
        for _, given, parts, make in files:  # the first time, libraries are imported
            path.write_bytes(make(*parts))
            read_network(path, **given)
        for number in range(count):
            name, given, parts, make = files[number % len(files)]
            parts, place = list(parts), rng.integers(len(parts))
            parts[place] = damaged(rng, parts[place])
            path.write_bytes(make(*parts))
            started = process_time()
            watch.path = str(path)
            try:
                read_network(path, **given)
                seen[name, "loaded"] += 1
            except ValueError:
                seen[name, "refused"] += 1
            except Exception as error:
                raise AssertionError(f"file {number} of seed {seed}, {name}") from error
            finally:
                watch.path = None
            assert watch.seen == [], (number, name, watch.seen)
            assert process_time() - started < MOST_SECONDS, (number, name)
    return seen


def main(seed, count):
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES,) * 2)
    for (name, what), number in sorted(fuzz(seed, count).items()):
        print(f"{name}: {number} x {what}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
