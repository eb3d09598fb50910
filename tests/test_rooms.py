"""The tree of the package: one name for a family of layers on every floor, and a test file for every module."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = {"convolution", "pooling", "normalisation", "activations", "branches"}
FAMILIES = LAYERS | {"loss"}  # the notation has no loss, so the architecture's floor does not have it

# The families of each floor, and its other modules.
FLOORS = {
    "skconvnet/architecture/layers": (LAYERS, {"base", "arithmetic"}),
    # bands and groups split the convolutions of one step, and phases the transposed ones.
    "skconvnet/engine/plan/steps": (FAMILIES, {"step", "bands", "depthwise", "groups", "phases", "winograd"}),
    "skconvnet/engine/cpu/kernels": (FAMILIES, {"depthwise", "images", "memory", "optimizer", "winograd"}),
    "skconvnet/engine/cuda/kernels": (FAMILIES, {"images", "memory", "optimizer"}),
    "tests/oracles": (FAMILIES, {"cases", "differences", "networks", "optimizers"}),
}

# Modules without a test file of their own, and the test file that covers them. A key that ends in "/" is a folder.
TESTED_IN = {
    "_version": "test_package",
    "architecture/layers/activations": "architecture/layers/test_layers",
    "architecture/layers/base": "architecture/layers/test_layers",
    "engine/compile_time": "engine/cpu/test_machine",
    "engine/cpu/dispatch": "engine/cpu/test_machine",
    "engine/cuda/arrays": "engine/cuda/test_execution",
    "engine/cuda/llvm/products": "engine/cuda/kernels/test_convolution",
    "engine/cuda/llvm/registers": "engine/cuda/kernels/test_convolution",
    "engine/cuda/llvm/runs": "engine/cuda/kernels/test_convolution",
    "engine/cuda/llvm/sums": "engine/cuda/kernels/test_normalisation",
    "engine/cuda/llvm/tile": "engine/cuda/kernels/test_convolution",
    "engine/cuda/machine": "engine/cuda/test_execution",
    "engine/cuda/pixels": "engine/cuda/test_execution",
    "engine/loading": "inspection/test_augmentation",
    "engine/plan/builder": "engine/plan/test_plan",
    "engine/plan/steps/": "engine/plan/test_plan",
    "estimators/base": "estimators/test_classifier",
    "estimators/identity": "training/test_checkpoint_identity",
    "estimators/parameters": "estimators/test_classifier",
    "interchange/onnx/branches": "interchange/onnx/test_operators",
    "interchange/onnx/constants": "interchange/onnx/test_operators",
    "interchange/onnx/package": "interchange/onnx/test_writer",
    "interchange/onnx/rewriting": "interchange/onnx/test_operators",
    "interchange/onnx/steps": "interchange/onnx/test_operators",
    "training/state": "training/test_checkpoint",
}

# Test files that cover several modules of a room, or several rooms.
ACROSS_MODULES = {
    "architecture/layers/test_layers",
    "demo/test_convolution",  # of scripts, which are no modules
    "demo/test_network",
    "engine/cuda/test_budgets",
    "engine/cuda/test_mutants",
    "engine/test_frozen",
    "engine/test_mutants",
    "estimators/test_cuda",
    "estimators/test_interrupts",
    "estimators/test_score_map",
    "estimators/test_training_options",
    "test_package",
    "test_rooms",
    "training/test_checkpoint_identity",
    "training/test_damaged_checkpoints",
}
ACROSS_ROOMS = {"integration", "pages", "oracles"}
# Code of the tests that has tests of its own: it executes PTX, and mirrors no module.
TOOLS = "engine/cuda/ptx/"


def modules_in(folder, pattern="*.py"):
    """The modules below a folder, as paths without suffix. Packages are left out."""
    files = (ROOT / folder).rglob(pattern)
    return {file.relative_to(ROOT / folder).with_suffix("").as_posix() for file in files if file.stem != "__init__"}


def mirror(module):
    """The test file of a module: a/test_b for a/b, a/_b and a/__b__."""
    path = Path(module)
    return path.with_name(f"test_{path.name.strip('_')}").as_posix()


@pytest.mark.parametrize("floor", FLOORS)
def test_a_family_of_layers_has_one_name_on_every_floor(floor):
    families, others = FLOORS[floor]
    assert {name for name in modules_in(floor) if not name.startswith("test_")} == families | others


def test_every_module_has_a_test_file():
    tests = modules_in("tests", "test_*.py")
    without = {module for module in modules_in("skconvnet") if mirror(module) not in tests}
    covered = {module for module in without if module in TESTED_IN or f"{Path(module).parent}/" in TESTED_IN}
    assert without - covered == set()
    assert {key for key in TESTED_IN if key not in without and not key.endswith("/")} == set()  # no stale entries
    assert set(TESTED_IN.values()) <= tests


def test_every_test_file_has_a_module():
    mirrors = {mirror(module) for module in modules_in("skconvnet")}
    tests = {test for test in modules_in("tests", "test_*.py") if test.split("/")[0] not in ACROSS_ROOMS}
    assert {test for test in tests - mirrors if not test.startswith(TOOLS)} == ACROSS_MODULES
