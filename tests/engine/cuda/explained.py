"""Mutants of kernels that no test can notice, and why: the kernel does the same, or the same with idle work."""

import re

__all__ = ["reason"]

# A pattern that is found in what the mutant says, and the reason.
_REASONS = {
    r"convolution\._blocks: ": "it limits the registers of a thread: no result, but a budget, changes",
    r"optimizer.transpose: 1 -> 0 in: .*_SIDE - 1": "tiles that are outside the block are walked over and left alone",
    r"_merge: 2 -> 3": "loops that are merged twice are merged",
    r"schedule: ('R' -> 'K'|1 -> 2) in: loops = _merge": "loops over nothing become one line, whatever their counts",
    r"of_windows: row < bottom -> row <= bottom": "beyond its window, a gradient has found its winner, and 0 is left",
    r"_sums: 0 -> 1 in: if slice_of_thread == 0": "every slice has the sum of all slices",
    r"_sums: 0 -> 1 in: end = .* if at < depth": "behind the channels a thread sums what it does not store",
    r"lower_multiply_sums: wide \*= 2": "any power of two is a number of quads that a block can have",
}


def reason(mutant):
    """Return why no test can notice a mutant, or None."""
    found = (why for pattern, why in _REASONS.items() if re.search(pattern, mutant.says))
    return next(found, None)
