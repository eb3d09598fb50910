import copy
import pickle

from skconvnet.architecture import Architecture, Hyperparameters

TEXT = "INPUT -> [CONV(K=4) -> RELU -> POOL]*2 -> FC"


def test_architectures_are_equal_where_their_texts_are():
    architecture = Architecture.parse(TEXT)
    assert architecture == Architecture.parse("[INPUT - [CONV(K=4) - RELU - POOL]*2 - FC]")
    assert len({architecture, Architecture.parse(TEXT), Architecture.parse("INPUT -> FC")}) == 2
    assert repr(architecture) == f"Architecture.parse({TEXT!r})"


def test_both_pickle_and_copy():
    architecture = Architecture.parse(TEXT)
    bound = architecture.bind((8, 8, 1), 3)
    for thing in (architecture, bound):
        assert pickle.loads(pickle.dumps(thing)) == thing
        assert copy.deepcopy(thing) == thing
    assert hash(bound) == hash(architecture.bind((8, 8, 1), 3))


def test_summary_of_an_architecture_is_that_of_the_bound_one():
    architecture = Architecture.parse("INPUT -> [CONV -> RELU]*N -> FC")
    hyperparameters = Hyperparameters(N=3, K=5)
    table = architecture.summary((8, 8, 1), 3, hyperparameters)
    assert table == architecture.bind((8, 8, 1), 3, hyperparameters).summary()
    assert len(table.records) == 8


def test_a_bound_architecture_prints():
    bound = Architecture.parse("INPUT -> FC").bind((8, 6, 1), 3)
    assert str(bound) == bound.text == "INPUT -> FC(3)"
    assert repr(bound) == "BoundArchitecture('INPUT -> FC(3)', image_shape=(8, 6, 1), n_classes=3)"
