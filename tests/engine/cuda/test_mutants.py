"""What the tests of kernels are worth: kernels with one thing wrong in them, each of which is noticed."""

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda]")

from tests.engine.cuda.mutants import CHECKS, is_noticed, mutants, planted, unchanged

PLANTED = [
    # Missing barriers: after the sums of the threads, and after each round of adding them.
    ("activations", "        cuda.syncthreads()\n        while", "        while"),
    ("activations", "            cuda.syncthreads()\n            lanes", "            lanes"),
    # Missing guards of the last block.
    ("activations", "if at < rows * line:", "if True:"),
    ("activations", "if lane < lanes and q < depth:", "if lane < lanes:"),
    ("memory", "if at < size:", "if True:"),
    # Parts of a sum: one too few, or one twice.
    ("activations", "lanes = half", "lanes = half - 1"),
    ("activations", '"columns": grid[0]', '"columns": grid[0] - 1'),
    ("activations", "block() * span + lane)", "block() * (span - 1) + lane)"),
    # Halos of windows.
    ("pooling", "return max(index * S - P, 0)", "return index * S - P"),
    ("pooling", "return min(index * S - P + F, extent)", "return index * S - P + F"),
    ("pooling", "over(at + P, S) + 1", "over(at + P, S)"),
    ("pooling", "range(_begin(i, S, P), row + 1)", "range(_begin(i, S, P), row)"),
    # Alignment: quads where single numbers are needed.
    ("branches", "if _are_quads(call):", "if True:"),
    # The row of the tables is that of the step.
    ("images", "load_int(step) * batch", "batch"),
    ("activations", "draws + 16 * load_int(step)", "draws"),
]
SAMPLE = [mutant for module in CHECKS for mutant in mutants(module, every=40)]


@pytest.mark.parametrize("module", CHECKS)
def test_the_module_itself_passes(module):
    assert is_noticed(unchanged(module)) is False


@pytest.mark.parametrize(("module", "old", "new"), PLANTED)
def test_a_planted_fault_is_noticed(module, old, new):
    assert is_noticed(planted(module, old, new))


@pytest.mark.parametrize("mutant", SAMPLE, ids=lambda mutant: mutant.says)
def test_a_mutant_is_noticed(mutant):
    assert is_noticed(mutant)
