"""Mutants of kernels that no test can notice, and why: the kernel does the same, or the same with idle work."""

import re

__all__ = ["reason"]

# A pattern that is found in what the mutant says, and the reason.
_REASONS = {
    r"optimizer\.\w+: own \+ _OFFSET -> own - _OFFSET": "the first column of a block is at distance 0",
    r"loss\.\w+: 8 -> \d in: store_double\(outcome \+ 8 \* _LOSS": "the first column of an outcome is at distance 0",
    r"images\.\w+: warp \+ _FLIP -> warp - _FLIP": "the first column of a warp is at distance 0",
    r"convolution\._blocks: ": "it limits the registers of a thread: no result, but a budget, changes",
    r"optimizer.transpose: 1 -> 0 in: .*_SIDE - 1": "tiles that are outside the block are walked over and left alone",
    r"_merge: 2 -> 3": "loops that are merged twice are merged",
    r"schedule: ('R' -> 'K'|1 -> 2) in: loops = _merge": "loops over nothing become one line, whatever their counts",
    r"of_windows: row < bottom -> row <= bottom": "beyond its window, a gradient has found its winner, and 0 is left",
}


def reason(mutant):
    """Return why no test can notice a mutant, or None."""
    found = (why for pattern, why in _REASONS.items() if re.search(pattern, mutant.says))
    return next(found, None)
