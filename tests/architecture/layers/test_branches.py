import pytest

from skconvnet.architecture import ArchitectureError, Volume, walk
from skconvnet.architecture.layers.activations import BoundRelu
from skconvnet.architecture.layers.branches import BoundGate, BoundSkip, BoundStack, BoundSum
from skconvnet.architecture.layers.convolution import BoundConv

CIFAR = Volume(32, 32, 3)


def test_walk_yields_a_sum_or_stack_after_its_branches():
    inner = BoundSum("SUM 1", CIFAR, ((BoundRelu("RELU 1", CIFAR),), (BoundSkip("SKIP 1", CIFAR),)))
    stack = BoundStack("STACK 1", CIFAR, ((inner, BoundRelu("RELU 2", CIFAR)), (BoundSkip("SKIP 2", CIFAR),)))
    last = BoundRelu("RELU 3", stack.output)
    names = [layer.name for layer in walk((BoundRelu("RELU 0", CIFAR), stack, last))]
    assert names == ["RELU 0", "RELU 1", "SKIP 1", "SUM 1", "RELU 2", "SKIP 2", "STACK 1", "RELU 3"]


def conv_branch(K, F=1, P=0):
    return (BoundConv("CONV 1", CIFAR, K, F, 1, P),)


def test_branches_add_up_and_stack():
    total = BoundSum("SUM 1", CIFAR, (conv_branch(3), (BoundSkip("SKIP 1", CIFAR),)))
    assert total.output == CIFAR
    assert str(total) == "(CONV(K=3, F=1, S=1, P=0) + SKIP)"
    stack = BoundStack("STACK 1", CIFAR, (conv_branch(5), (*conv_branch(7), BoundRelu("RELU 1", Volume(32, 32, 7)))))
    assert stack.output == Volume(32, 32, 12)
    assert stack.n_weights == 3 * 12
    assert stack.n_biases == 12
    assert stack.n_flops == 32 * 32 * 3 * 12
    assert stack.n_activations == 32 * 32 * 12  # without those of its branches


def test_branches_must_agree():
    with pytest.raises(ArchitectureError, match=r"SUM 1: .*branch 1 gives \[32x32x5\], branch 2 gives \[32x32x7\]"):
        BoundSum("SUM 1", CIFAR, (conv_branch(5), conv_branch(7)))
    with pytest.raises(ArchitectureError, match=r"STACK 1: .*branch 1 gives \[30x30x5\], branch 2 gives \[32x32x5\]"):
        BoundStack("STACK 1", CIFAR, (conv_branch(5, F=3), conv_branch(5)))


def pixel(depth):
    return (BoundConv("CONV 2", CIFAR, depth, 32, 1, 0),)


def test_a_gate_multiplies_equal_volumes_or_slices():
    assert BoundGate("GATE 1", CIFAR, (conv_branch(5), conv_branch(5))).output == Volume(32, 32, 5)
    for branches in ((conv_branch(5), pixel(5)), (pixel(5), conv_branch(5))):
        gate = BoundGate("GATE 1", CIFAR, branches)
        assert gate.output == Volume(32, 32, 5)
        assert gate.n_flops == sum(branch[0].n_flops for branch in branches)
    assert str(gate) == "(CONV(K=5, F=32, S=1, P=0) * CONV(K=5, F=1, S=1, P=0))"
    for branches in ((conv_branch(5), pixel(7)), (conv_branch(5), conv_branch(5, F=3)), (pixel(1), conv_branch(5))):
        with pytest.raises(
            ArchitectureError, match=r"GATE 1: .* must agree in height, width and depth, or one must be"
        ):
            BoundGate("GATE 1", CIFAR, branches)


def test_a_gate_of_slices_does_not_slide():
    slices = BoundGate("GATE 1", CIFAR, (conv_branch(5), pixel(5)))
    assert slices.on(CIFAR) == slices
    with pytest.raises(ArchitectureError, match=r"GATE 1: .*On \[40x40x3\] the gate would compute another function"):
        slices.on(Volume(40, 40, 3))
    whole = BoundGate("GATE 1", CIFAR, (conv_branch(5), (BoundSkip("SKIP 1", CIFAR), *conv_branch(5))))
    assert whole.on(Volume(40, 40, 3)).output == Volume(40, 40, 5)
    pixels = BoundGate("GATE 1", CIFAR, (pixel(5), (BoundConv("CONV 3", CIFAR, 5, 32, 9, 0, round="floor"),)))
    with pytest.raises(ArchitectureError, match="another function"):
        pixels.on(Volume(40, 40, 3))
