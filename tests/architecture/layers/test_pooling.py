import pytest

from skconvnet.architecture import ArchitectureError, Volume
from skconvnet.architecture.layers.pooling import BoundPool


def test_a_pool_that_does_not_fit_is_rejected():
    with pytest.raises(ArchitectureError, match=r"POOL 1 over the width of \[9x8x1\]"):
        BoundPool("POOL 1", Volume(8, 9, 1), "max", F=(2, 2), S=2, P=0)
    with pytest.raises(ArchitectureError, match="with P=2 a window of F=2 can contain only padding"):
        BoundPool("POOL 1", Volume(8, 8, 1), "max", F=(2, 2), S=1, P=2)


def test_pool_keeps_depth_and_learns_nothing():
    pool = BoundPool("POOL 1", Volume(32, 32, 12), "max", F=(2, 2), S=2, P=0)
    assert pool.output == Volume(16, 16, 12)
    assert (pool.n_weights, pool.n_biases, pool.n_flops) == (0, 0, 0)
    assert str(pool) == "POOL(max, F=2, S=2, P=0)"
    whole = BoundPool("POOL 1", Volume(4, 5, 12), "average", F=(4, 5), S=1, P=0)
    assert whole.output == Volume(1, 1, 12)
    assert str(whole) == "POOL(average, F=all, S=1, P=0)"
    assert str(whole.on(Volume(5, 5, 12))) == str(whole.convolutional()) == "POOL(average, F=5x4, S=1, P=0)"


def test_padding_that_an_average_counts():
    pool = BoundPool("POOL 1", Volume(4, 4, 1), "average", F=(3, 2), S=1, P=(1, 0), padding="counted")
    assert (pool.counted, str(pool)) == ((1, 0), "POOL(average, F=2x3, S=1, P=0x1, padding=counted)")
    assert BoundPool("POOL 1", Volume(4, 4, 1), "average", F=(3, 3), S=1, P=1).counted == (0, 0)


def test_pool_of_windows_that_are_not_square():
    pool = BoundPool("POOL 1", Volume(height=8, width=9, depth=2), "max", F=(2, 3), S=(1, 3), P=(1, 0))
    assert pool.output == Volume(height=9, width=3, depth=2)
    assert str(pool) == "POOL(max, F=3x2, S=3x1, P=0x1)"
    with pytest.raises(ArchitectureError, match="with P=2 a window of F=2 can contain only padding"):
        BoundPool("POOL 1", Volume(8, 8, 1), "max", F=(2, 3), S=1, P=(2, 0))
    assert str(BoundPool("POOL 1", Volume(2, 3, 1), "max", F=(2, 3), S=(1, 2), P=0)) == "POOL(max, F=3x2, S=2x1, P=0)"
