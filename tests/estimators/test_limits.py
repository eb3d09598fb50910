"""Limits on batch size and memory."""

import re
from types import SimpleNamespace

import pytest

from skconvnet import Architecture
from skconvnet.engine.device import CpuDevice
from skconvnet.estimators.limits import (
    auto_batch_size,
    check_batch_size,
    check_memory,
    check_scoring_memory,
    number_of_epochs,
)


def test_auto_batch_size():
    assert [auto_batch_size(n) for n in (1, 31, 32, 1437, 20_000, 60_000, 10**7)] == [1, 31, 32, 32, 39, 117, 128]


def test_number_of_epochs():
    sizes = (1, 30_000, 31_500, 40_000, 45_000, 60_000, 10**7)
    assert [number_of_epochs("auto", n) for n in sizes] == [20, 20, 19, 15, 13, 10, 10]
    assert [number_of_epochs("auto", n, is_augmented=True) for n in sizes] == [40, 40, 38, 30, 26, 20, 20]
    assert number_of_epochs(7, 60_000, is_augmented=True) == 7
    assert [number_of_epochs(n, 60_000) for n in (1, 7, 500)] == [1, 7, 500]


@pytest.mark.parametrize("text", ["INPUT -> FC(4) -> NORM -> FC", "INPUT -> (POOL(F=all) -> NORM | FC(2)) -> FC"])
def test_a_norm_of_single_numbers_is_refused(text):
    bound = Architecture.parse(text).bind((4, 4, 1), 3)
    check_batch_size(bound, 2)
    with pytest.raises(ValueError, match=r"NORM 1 .* batch_size of at least 2, or NORM\(layer\)"):
        check_batch_size(bound, 1)


def test_other_norms_take_minibatches_of_one():
    check_batch_size(Architecture.parse("INPUT -> NORM -> FC(3) -> NORM(layer) -> FC").bind((2, 1, 1), 3), 1)


TWO_GB = SimpleNamespace(name="this machine", memory=lambda: 2e9)


def test_too_much_memory_is_refused_with_the_table_and_the_largest_layer():
    bound = Architecture.parse("INPUT -> CONV(K=8) -> RELU -> FC(1000) -> RELU -> FC").bind((8, 8, 1), 10)
    check_memory(bound, lambda: 2e9, TWO_GB)
    message = r"needs 4\.0 GB of memory to train, and this machine has 2\.0 GB\. FC 1, FC\(1000\), needs the most"
    with pytest.raises(ValueError, match=message) as caught:
        check_memory(bound, lambda: 4e9, TWO_GB)
    assert str(bound.summary()) in str(caught.value)


def test_memory_below_a_gigabyte_is_told_in_megabytes():
    bound = Architecture.parse("INPUT -> FC").bind((8, 8, 1), 10)
    little = SimpleNamespace(name="the GPU Toy", memory=lambda: 2.4e7)
    with pytest.raises(ValueError, match=r"needs 1\.0 GB of memory to train, and the GPU Toy has 24\.0 MB\."):
        check_memory(bound, lambda: 1e9, little)
    with pytest.raises(ValueError, match=r"needs 999\.\d MB of memory, and the GPU Toy has 24\.0 MB\."):
        check_scoring_memory((8, 8, 1), 9.99e8, little)


def test_a_network_with_too_many_parameters_is_not_planned():
    bound = Architecture.parse("INPUT -> CONV(K=100000000) -> CONV(K=100000000) -> FC").bind((8, 8, 1), 10)
    with pytest.raises(ValueError, match=re.escape("CONV 2, CONV(K=100000000")):
        check_memory(bound, lambda: pytest.fail("planned"), CpuDevice())


def test_scores_that_need_too_much_memory_are_refused():
    check_scoring_memory((9000, 9000, 1), 1.9e9, TWO_GB)
    with pytest.raises(ValueError, match=r"images of shape \(9000, 9000, 1\) needs 2\.1 GB .* machine has 2\.0 GB"):
        check_scoring_memory((9000, 9000, 1), 2.1e9, TWO_GB)
    check_scoring_memory((1, 1, 1), 1000, TWO_GB)
    with pytest.raises(ValueError, match="machine has"):
        check_scoring_memory((1, 1, 1), 2**70, CpuDevice())
