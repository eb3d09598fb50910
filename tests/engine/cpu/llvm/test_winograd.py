"""The assembly of the transforms. What they compute is tested in kernels/test_winograd.py."""

import re
from collections import Counter
from unittest.mock import patch

import pytest

from skconvnet.engine.cpu.llvm import tile, winograd
from skconvnet.engine.cpu.llvm.tile import has_fma, panels_of
from skconvnet.engine.program.instructions import TRANSFORMED_FILTERS, Transform
from tests.engine.cpu.llvm.assembly import MACHINES, PROCESSORS, REGISTERS, assembly_on, on_x86
from tests.engine.walker import tile_of

# Along one axis of one tile: multiply-adds, products alone, and sums or differences alone.
ALONG_AXIS = {
    (Transform.INPUT, 3): (12, 0, 0),
    (Transform.OUTPUT, 3): (4, 2, 6),
    (Transform.GRADIENT, 3): (8, 0, 0),
    (Transform.WEIGHTS, 3): (6, 3, 0),
    (Transform.WEIGHTS_GRADIENT, 3): (5, 2, 4),
    (Transform.INPUT, 5): (12, 0, 0),
    (Transform.OUTPUT, 5): (2, 0, 6),
    (Transform.GRADIENT, 5): (4, 0, 0),
    (Transform.WEIGHTS, 5): (10, 3, 0),
    (Transform.WEIGHTS_GRADIENT, 5): (7, 4, 4),
}
ARITHMETIC = re.compile(r"\tv?(fn?madd|mul|add|sub)\d*(ps|ss)\t.*%([xyz]mm)")
LABEL = re.compile(r"^[.\w]+:.*$", re.MULTILINE)


def arithmetic(assembly):
    """For each run of instructions without a label: {(kind, register): count}; differences count as sums."""
    kinds = {"fmadd": "fma", "fnmadd": "fma", "mul": "mul", "add": "add", "sub": "add"}
    found = [ARITHMETIC.findall(block) for block in LABEL.split(assembly)]
    assert {of for block in found for _, of, _ in block} == {"ps"}  # whole vectors
    return [Counter((kinds[kind], register) for kind, _, register in block) for block in found if block]


def arithmetic_of(transform, F, lanes, fma):
    """The same as it should be, of one tile: each column of the tile first, and then each row of what that gives."""
    inputs, outputs = tile_of(transform, F)
    multiply_adds, products, sums = ((inputs + outputs) * count for count in ALONG_AXIS[transform, F])
    sums += outputs**2 if transform in (Transform.OUTPUT, Transform.WEIGHTS_GRADIENT) else 0  # begins with `start`
    if not fma:
        multiply_adds, products, sums = 0, products + multiply_adds, sums + multiply_adds
    counts = {"fma": multiply_adds, "mul": products, "add": sums}
    return Counter({(kind, REGISTERS[lanes]): count for kind, count in counts.items() if count})


def assembly_for(machine, transform, F):
    """The lanes that a transform has on a machine, whether it has FMA, and its assembly."""
    features, _, _ = MACHINES[machine]
    lanes, fma = max(lanes for _, lanes, _ in panels_of(features)), has_fma(tile._TRIPLE, features)
    with patch.multiple(winograd, _LANES=lanes, HAS_FMA=fma):
        return lanes, fma, assembly_on(machine, lambda module: [winograd._Emitter(module, transform, F).function()])


def is_as_it_should_be(found, expected):
    """Without FMA, a product that two rows of a matrix have in common is computed once."""
    less = {kind for kind, _ in expected - found}
    return found <= expected and less <= ({"mul"} if not any(kind == "fma" for kind, _ in expected) else set())


@on_x86
@pytest.mark.parametrize("F", TRANSFORMED_FILTERS)
@pytest.mark.parametrize("transform", Transform, ids=lambda transform: transform.name)
@pytest.mark.parametrize("machine", PROCESSORS)
def test_a_transform_has_the_arithmetic_of_its_matrix_and_no_more(machine, transform, F):
    """Where an OUTPUT is cut, LLVM moves some of it behind branches: whole vectors inside the volume are counted."""
    lanes, fma, assembly = assembly_for(machine, transform, F)
    found = arithmetic(assembly)
    if transform == Transform.OUTPUT:
        assert any(is_as_it_should_be(block, arithmetic_of(transform, F, lanes, fma)) for block in found)
        return
    widths = sorted({lanes, min(lanes, winograd._NARROW)}, reverse=True)  # the last channels may be fewer than a vector
    for block, width in zip(found, widths, strict=True):
        assert is_as_it_should_be(block, arithmetic_of(transform, F, width, fma))


def test_no_transform_needs_more_than_15_operations_along_an_axis():
    assert max(sum(counts) for counts in ALONG_AXIS.values()) == 15
