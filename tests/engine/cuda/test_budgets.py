"""The machine code of every kernel, for every architecture, without a GPU: nothing in slow memory, and no surprise."""

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda] (`make cuda` installs it)")

from skconvnet.engine.cuda.llvm.tile import TILES
from tests.engine.cuda import budgets

if missing := " and ".join(budgets.missing_tools()):
    pytest.skip(f"needs {missing}: pip install 'skconvnet[cuda-test]'", allow_module_level=True)

# Sums over samples, statistics of which there are a few numbers a layer, and the rates of a step are float64, as on the
# CPU.
USE_FLOAT64 = {
    "batch_gradients",
    "batch_statistics",
    "layer_gradients",
    "layer_scale_gradients",
    "layer_statistics",
    "regression_loss",
    "running_statistics",
    "sigmoid_cross_entropy",
    "softmax_cross_entropy",
    "update",
}
# The kernels that are measured again. Other architectures differ from these in a few registers, and tiles of CONTRACT
# in their size; their rows of the table are checked too.
ONE_TILE = [name for name in budgets.kernels() if "contract_" not in name or name.endswith(f"_{TILES[0]}")]
MEASURED = {(7, 5): ONE_TILE, (9, 0): list(budgets.kernels()), (12, 0): ONE_TILE}

REGISTERS = 65_536  # of a multiprocessor
HELP = "If it should be so: python -m tests.engine.cuda.budgets NAMES"


@pytest.fixture(scope="module")
def table():
    header, rows = budgets.read_table()
    return header, rows


@pytest.mark.parametrize("architecture", MEASURED, ids=budgets.label)
def test_kernels_are_as_in_the_table(table, architecture):
    header, rows = table
    if header != budgets.tools():
        pytest.skip(f"the table is of {header}, and here is {budgets.tools()}")
    found = budgets.measure(architecture, MEASURED[architecture])
    changed = {name: (budget, rows[architecture].get(name)) for name, budget in found.items()}
    assert {name: pair for name, pair in changed.items() if pair[0] != pair[1]} == {}, HELP


@pytest.mark.parametrize("architecture", budgets.ARCHITECTURES, ids=budgets.label)
def test_the_table_has_every_kernel(table, architecture):
    expected = {name for name, kernel in budgets.kernels().items() if kernel.minimum_cc <= architecture}
    assert table[1][architecture].keys() == expected, HELP


@pytest.mark.parametrize("architecture", budgets.ARCHITECTURES, ids=budgets.label)
def test_numbers_stay_in_registers(table, architecture):
    slow = {name for name, row in table[1][architecture].items() if row.stack or row.spills or row.local}
    assert slow == set()


@pytest.mark.parametrize("architecture", budgets.ARCHITECTURES, ids=budgets.label)
def test_float64_is_for_a_few_sums(table, architecture):
    assert {name for name, row in table[1][architecture].items() if row.float64} == USE_FLOAT64


@pytest.mark.parametrize("architecture", budgets.ARCHITECTURES, ids=budgets.label)
def test_the_blocks_of_a_kernel_fit_on_a_multiprocessor(table, architecture):
    for name, kernel in budgets.kernels().items():
        if kernel.minimum_cc <= architecture:
            registers = -(-table[1][architecture][name].registers // 8) * 8
            assert registers * kernel.threads * kernel.blocks <= REGISTERS, name


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("architecture", budgets.ARCHITECTURES, ids=budgets.label)
def test_contractions_multiply(table, architecture, tile):
    """Of the inner loop's instructions, most are multiply-adds, and the more the wider the tile is."""
    least = {128 * 128: 800, 128 * 64: 800, 256 * 16: 620}.get(tile.rows * tile.columns, 750)
    for reading in "km1":
        assert table[1][architecture][f"contract_{reading}_{tile}"].products >= least


@pytest.mark.parametrize("tile", TILES, ids=str)
@pytest.mark.parametrize("architecture", budgets.ARCHITECTURES[1:], ids=budgets.label)
def test_contractions_use_tensor_cores(table, architecture, tile):
    """A product of matrices, 32 multiply-adds a thread, among four to eight instructions."""
    for reading in "km1":
        assert table[1][architecture][f"contract_tf32x3_{reading}_{tile}"].products >= 120
