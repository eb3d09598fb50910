import numpy as np
import pytest

from skconvnet.architecture import ArchitectureError, Hyperparameters, Volume
from skconvnet.architecture.hyperparameters import spread


def test_numpy_values_become_python_values():
    hyperparameters = Hyperparameters(
        K=np.array([16, 32]), F=np.int64(5), S=np.array(2), P=["same", np.uint8(1)], N=np.int32(1),
        hidden_layer_sizes=np.array([64]), pool=np.array([True, False]), pool_F=range(2, 4),
    )  # fmt: skip
    assert hyperparameters == Hyperparameters(
        K=(16, 32), F=5, S=2, P=("same", 1), N=1, hidden_layer_sizes=(64,), pool=(True, False), pool_F=(2, 3)
    )
    assert hash(hyperparameters) == hash(Hyperparameters(**vars(hyperparameters)))
    kinds = {type(number) for value in vars(hyperparameters).values() for number in np.ravel(np.array(value, object))}
    assert kinds == {int, bool, str}


def test_hidden_layer_sizes_may_be_one_number():
    assert Hyperparameters(hidden_layer_sizes=64).hidden_layer_sizes == (64,)
    assert Hyperparameters(hidden_layer_sizes=[]).hidden_layer_sizes == ()


BAD = {
    "K": [0, -1, 2.0, True, "64", "AUTO", None, b"1", np.float64(3), 10**400, 10**5000, [16, 0], ["auto"], [[16]], []],
    "F": [0, -1, 3.5, False, "same", np.bool_(True), [3, "3"], np.array([3.0]), np.array([[3]])],
    "S": [0, -1, 1.0, "auto", [1, None]],
    "P": [-1, 0.5, True, "SAME", "auto", ["same", "full"], None],
    "N": [-1, 1.0, True, "auto", [1], np.array([1])],
    "M": [-1, 1.0, True, "many", (1,)],
    "hidden_layer_sizes": [0, (0,), (64, 0.5), "64", None, (True,)],
    "pool": [0, 1, "yes", None, [True, 1], np.array([0, 1]), []],
    "pool_F": [0, 2.0, "all", [2, 0]],
    "pool_S": [0, 2.0, True, [2, 0]],
    "rounding": [None, "round", True, ["floor"], 1],
}


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in BAD.items() for value in values],
    ids=[f"{name}-{i}" for name, values in BAD.items() for i, _ in enumerate(values)],
)
def test_bad_values_are_rejected(name, value):
    with pytest.raises(ArchitectureError, match=f"^{name} must be .*, got .*$") as caught:
        Hyperparameters(**{name: value})
    assert len(str(caught.value)) < 300


def test_error_message():
    with pytest.raises(ArchitectureError) as caught:
        Hyperparameters(K=[16, 2.5])
    assert str(caught.value) == "K must be a whole number from 1 to 2147483647, got 2.5"
    with pytest.raises(ArchitectureError) as caught:
        Hyperparameters(P=-1)
    assert str(caught.value) == "P must be a whole number from 0 to 2147483647 or 'same' or 'valid', got -1"


@pytest.mark.parametrize(
    ("side", "M"), [(1, 1), (4, 1), (8, 1), (15, 1), (16, 2), (28, 2), (31, 2), (32, 3), (224, 5), (2**31 - 1, 28)]
)
def test_auto_M_halves_the_shorter_side_to_at_least_four(side, M):
    for image in (Volume(side, 2**31 - 1, 1), Volume(2**31 - 1, side, 3)):
        assert Hyperparameters().repetitions(image)["M"] == M
    assert side // 2**M >= 4 or M == 1


def test_auto_M_is_the_length_of_a_sequence():
    image = Volume(32, 32, 3)
    assert Hyperparameters(K=[8, 16, 32, 64]).repetitions(image)["M"] == 4
    assert Hyperparameters(K=[8] * 6, pool=[True, True, False]).repetitions(image)["M"] == 3
    assert Hyperparameters(K=[8] * 6, M=2).repetitions(image) == {"N": 2, "M": 2, "K": 1}


def test_sequences_have_one_value_per_layer_or_block():
    blocks = [0, 0, 1, 1, 2]
    assert spread("F", 3, blocks, 3) == [3] * 5
    assert spread("F", (1, 3, 5), blocks, 3) == [1, 1, 3, 3, 5]
    assert spread("F", (1, 3, 5, 7, 9), blocks, 3) == [1, 3, 5, 7, 9]
    with pytest.raises(ArchitectureError, match="F has length 4, but the network has 5 CONV layers in 3 blocks"):
        spread("F", (1, 3, 5, 7), blocks, 3)


def test_error_names_each_possible_length_once():
    with pytest.raises(ArchitectureError, match=r"give one value, or a sequence of length 2$"):
        spread("K", (1, 2, 3), blocks=[0, 1], n_blocks=2)
    with pytest.raises(ArchitectureError, match=r"give one value, or a sequence of length 2 or 1$"):
        spread("K", (1, 2, 3), blocks=[0, 0], n_blocks=1)


@pytest.mark.parametrize(
    ("hyperparameters", "meant"), [({"P": "SAME"}, "same"), ({"M": "Auto"}, "auto"), ({"rounding": "Floor"}, "floor")]
)
def test_a_word_that_is_misspelled_is_told_with_the_one_that_was_meant(hyperparameters, meant):
    with pytest.raises(ArchitectureError, match=rf"did you mean {meant}\?$"):
        Hyperparameters(**hyperparameters)


def test_one_layer_in_one_block_is_told_in_the_singular():
    with pytest.raises(ArchitectureError, match="the network has 1 CONV layer in 1 block: give one value"):
        spread("K", (1, 2), blocks=[0], n_blocks=1)
