import json

import numpy as np
import pytest

from skconvnet import Architecture
from skconvnet.interchange.own import is_own, read_labels, read_outputs, write_network
from skconvnet.interchange.safetensors import read_safetensors
from tests.estimators.quick import refused
from tests.interchange.networks import random_network


def test_a_file_has_an_array_for_each_learned_one_and_the_rest_in_its_header():
    stored = random_network()
    file = read_safetensors(write_network(stored))
    assert is_own(file)
    assert sorted(file.arrays) == [
        *("coefs.00", "coefs.01", "coefs.02", "coefs.03"),
        *("intercepts.00", "intercepts.01", "intercepts.03"),
        *("norm_means.00", "norm_variances.00"),
    ]
    assert np.array_equal(file.arrays["coefs.02"], stored.learned.coefs[2])
    assert Architecture.parse(file.metadata["architecture"]).bind((6, 4, 3), 3) == stored.architecture
    assert file.metadata["image_shape"] == "[6, 4, 3]"
    assert file.metadata["classes"] == '["a", "b", "c"]'


@pytest.mark.parametrize(
    ("classes", "dtype", "expected"),
    [
        ('["a", "bc"]', "<U9", np.array(["a", "bc"])),
        ("[false, true]", "|b1", np.array([False, True])),
        ("[3, 200]", "|u1", np.array([3, 200], np.uint8)),
        ("[3, 4]", None, np.array([3, 4])),
        ("[0.1, 2.0]", "<f8", np.array([0.1, 2.0])),
        ("[18446744073709551615]", "<u8", np.array([2**64 - 1], np.uint64)),
    ],
)
def test_labels_keep_their_type(classes, dtype, expected):
    labels = read_labels({"classes": classes} | ({"classes_dtype": dtype} if dtype else {}))
    assert labels.dtype == expected.dtype
    assert np.array_equal(labels, expected)


@pytest.mark.parametrize(
    ("classes", "dtype"),
    [("[1, true]", ""), ("[]", ""), ("[NaN]", ""), ("[300]", "|u1"), ("[[1]]", ""), ("[0.1]", "<f4"), ("{}", "")],
)
def test_labels_that_are_not_of_one_type_are_refused(classes, dtype):
    with refused("which are not labels of one type"):
        read_labels({"classes": classes, "classes_dtype": dtype})


def test_labels_whose_array_would_be_huge_are_refused():
    with refused("it has 5,001 classes with names of up to 5,000 characters"):
        read_labels({"classes": json.dumps(["a" * 5000, *map(str, range(5000))])})


@pytest.mark.parametrize("classes", [np.array(["2026-01-01", "2026-01-02"], "M8[D]"), np.array([b"a", b"b"])])
def test_labels_that_the_file_cannot_have_are_refused(classes):
    with refused(f"The labels have dtype {classes.dtype}"):
        write_network(random_network(classes=classes))


def test_a_description_in_words_is_no_list_of_labels():
    assert read_labels({"classes": "ImageNet-1k"}) is None


@pytest.mark.parametrize(
    "metadata",
    [
        {"n_labels": "1"},
        {"n_labels": "true"},
        {"n_labels": "[2]"},
        {"n_labels": "2", "target_mean": "[0]", "target_scale": "[1]"},
        {"target_mean": "[0]"},
        {"target_scale": "[1]", "n_labels": "2"},
        {"target_mean": "[0]", "target_scale": "[0]"},
        {"target_mean": "[0]", "target_scale": "[1, 1]"},
        {"target_mean": "[NaN]", "target_scale": "[1]"},
        {"target_mean": "[]", "target_scale": "[]"},
        {"target_mean": "{}", "target_scale": "[1]"},
        {"target_mean": "0", "target_scale": "1"},
    ],
    ids=str,
)
def test_outputs_that_a_header_cannot_have_are_refused(metadata):
    with refused("and needs the number of labels, or the mean and the positive scale of each output"):
        read_outputs(metadata)
