"""Labels: accepted dtypes, refused input and the errors."""

import re
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.sparse import csr_array
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.multioutput import MultiOutputClassifier
from sklearn.utils import shuffle

from skconvnet import ConvNetClassifier, ConvNetRegressor
from skconvnet.data.labels import check_labels, convert_labels, encode_labels


@pytest.fixture(scope="module")
def digits():
    X, y = shuffle(*load_digits(return_X_y=True), random_state=0)
    return X[:300].astype(np.float32), y[:300]


def fitted(X, y, **data):
    network = ConvNetClassifier("INPUT -> CONV(K=8) -> RELU -> POOL -> FC", max_iter=2, random_state=0, n_jobs=1)
    return network.set_params(batch_size=16, learning_rate_init=0.01).fit(X, y, **data)


@pytest.fixture(scope="module")
def scores(digits):
    """The expected scores."""
    return fitted(*digits).decision_function(digits[0])


LABELS = {
    "strings": lambda y: np.array([f"digit {label}" for label in y]),
    "objects": lambda y: np.array([f"digit {label}" for label in y], dtype=object),
    "list of strings": lambda y: [f"digit {label}" for label in y],
    "negative integers": lambda y: y - 12,
    "large integers": lambda y: y + 2**60,
    "unsigned integers": lambda y: (200 + y).astype(np.uint8),
    "whole floats": lambda y: y.astype(float),
    "bools": lambda y: y > 4,
    "list of bools": lambda y: (y > 4).tolist(),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_any_kind(digits, scores, kind):
    X, y = digits
    labels = LABELS[kind](y)
    network = fitted(X, labels)
    classes = np.unique(np.asarray(labels))
    assert_array_equal(network.classes_, classes)
    assert network.classes_.dtype == ("U7" if kind == "objects" else np.asarray(labels).dtype)  # as in MLPClassifier
    predicted = network.predict(X)
    assert predicted.dtype == network.classes_.dtype
    assert np.mean(predicted == np.asarray(labels)) > 0.5 + 0.2 * (len(classes) == 2)
    if len(classes) == 10:
        assert_array_equal(network.decision_function(X), scores)
        assert_array_equal(predicted, classes[scores.argmax(axis=1)])
    with pytest.raises(ValueError, match="is not among the classes"):
        network.fit(X, labels, X_val=X[:2], y_val=[other_than(classes)] * 2)


OF_OBJECTS = {
    "whole numbers": lambda y: y - 3,
    "floats": lambda y: y / 2.0 * 2,
    "bools": lambda y: y > 4,
    "strings": lambda y: np.array([f"digit {label}" for label in y]),
}


@pytest.mark.parametrize(
    ("dtype", "of"),
    [
        ("Int64", lambda y: y + 2**53),
        ("boolean", lambda y: y > 4),
        ("string", lambda y: np.array([f"d{k}" for k in y])),
    ],
)
def test_pandas_extension_dtypes(digits, dtype, of):
    pd = pytest.importorskip("pandas")
    X, y = digits
    column = pd.Series(of(y)).astype(dtype)
    network = fitted(X, column)
    assert_array_equal(network.classes_, np.unique(of(y)))
    assert network.classes_.dtype == of(y).dtype
    assert network.score(X, column) > 0.5
    stream = ConvNetClassifier("INPUT -> FC").partial_fit(X, column, classes=pd.Series(of(y)).astype(dtype))
    assert stream.classes_.dtype == of(y).dtype
    with pytest.raises(ValueError, match="contains"):
        fitted(X, column.where(column.index > 0))


@pytest.mark.parametrize("kind", OF_OBJECTS)
def test_object_labels_get_a_plain_dtype(digits, kind):
    X, y = digits
    plain = OF_OBJECTS[kind](y)
    objects = plain.astype(object)
    expected, network = fitted(X, plain, X_val=X, y_val=plain), fitted(X, objects, X_val=X, y_val=objects)
    assert_array_equal(network.classes_, expected.classes_)
    assert network.classes_.dtype == expected.classes_.dtype
    assert_array_equal(network.decision_function(X), expected.decision_function(X))
    assert network.validation_scores_ == expected.validation_scores_
    assert network.score(X, objects) == expected.score(X, plain)
    scalars = np.array([*plain, None], dtype=object)[:-1]  # NumPy scalars
    assert_array_equal(fitted(X, scalars).classes_, expected.classes_)
    stream = ConvNetClassifier("INPUT -> FC").partial_fit(X[:200], objects[:200], classes=np.unique(objects))
    assert_array_equal(stream.partial_fit(X[200:], objects[200:]).classes_, expected.classes_)


def test_a_pandas_column_of_objects(digits):
    pd = pytest.importorskip("pandas")
    X, y = digits
    column = pd.Series(y, dtype=object)
    assert_array_equal(fitted(X, column).classes_, range(10))
    assert cross_val_score(ConvNetClassifier("INPUT -> FC"), X, column, cv=2, error_score="raise").min() > 0.5


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (None, r"y contains None at y\[7\]. Every image needs a label"),
        (float("nan"), r"y contains nan at y\[7\]"),
        (7, "y has labels of type int and str. Labels must be all strings, all booleans, or all numbers"),
        (b"bytes", "y has labels of type bytes and str"),
    ],
)
def test_a_missing_label_or_one_of_another_type_is_refused(digits, label, message):
    X, y = digits
    labels = np.array([f"digit {label}" for label in y], dtype=object)
    labels[7] = label
    with pytest.raises(ValueError, match=message):
        fitted(X, labels)
    with pytest.raises(ValueError, match=message):
        fitted(X, y.astype(str)).score(X, labels)


@pytest.mark.parametrize("labels", [["cat", float("nan")], ["1", 1], [True, 2], ["cat", None]])
def test_lists_of_labels_of_several_types_are_refused(digits, labels):
    with pytest.raises(ValueError, match=r"y contains (nan|None) at y|y has labels of type"):
        fitted(digits[0], labels * 150)


def test_masked_labels_and_pixels_are_refused(digits):
    X, y = digits
    mask = np.arange(300) == 7
    with pytest.raises(ValueError, match="y has masked labels"):
        fitted(X, np.ma.array(y, mask=mask))
    with pytest.raises(ValueError, match="y has masked labels"):
        fitted(X, y).score(X, np.ma.array(y, mask=mask))
    with pytest.raises(ValueError, match="X has masked pixels"):
        fitted(np.ma.array(X, mask=np.repeat(mask[:, None], 64, axis=1)), y)
    assert_array_equal(fitted(np.ma.array(X), np.ma.array(y)).predict(X), fitted(X, y).predict(X))


@pytest.mark.parametrize("of", [Fraction, lambda label: 10**30 * int(label), lambda label: str(label).encode()])
def test_other_objects_are_refused(digits, of):
    X, y = digits
    with pytest.raises(ValueError, match="Labels must be all strings, all booleans, or all numbers"):
        fitted(X, np.array([of(label) for label in y], dtype=object))


def other_than(classes):
    """A label of the type of the classes that is not among them."""
    if classes.dtype.kind == "b":
        return 7
    return {"U": "another", "O": "another"}.get(classes.dtype.kind, 77)


SEVERAL_LABELS = {
    "several outputs": (lambda y: np.stack([y, y > 4], axis=1), r"\(300, 2\)"),
    "lists of one length": (lambda y: [[label, label] for label in y], r"\(300, 2\)"),
    "lists of any length": (lambda y: [[label] * (1 + label % 2) for label in y], "sequences that differ in length"),
    "sets": (lambda y: [{label, 10} for label in y], "sets"),
    "a column of lists": (
        lambda y: np.array([[label] * (1 + label % 2) for label in y] + [[]], dtype=object)[:-1],
        "lists",
    ),
}


@pytest.mark.parametrize("kind", SEVERAL_LABELS)
def test_several_labels_for_an_image_are_refused(digits, kind):
    labels, came = SEVERAL_LABELS[kind]
    message = f"a 1d array with one label for each image, got .*{came}.*MultiLabelBinarizer.*MultiOutputClassifier"
    with pytest.raises(ValueError, match=message):
        fitted(digits[0], labels(digits[1]))


@pytest.mark.parametrize("form", [np.asarray, csr_array, lambda y: y.tolist(), lambda y: y.astype(np.float32)])
def test_indicators_of_several_labels_are_whole_numbers(form):
    labels = check_labels(form(np.array([[0, 1], [1, 1]])))
    assert labels.dtype == np.int64
    assert labels.tolist() == [[0, 1], [1, 1]]


def test_several_outputs_work_as_the_message_says(digits):
    X, y = digits
    outputs = np.stack([y, y > 4], axis=1)
    network = ConvNetClassifier("INPUT -> FC", max_iter=2, learning_rate_init=0.02, random_state=0, n_jobs=1)
    predicted = MultiOutputClassifier(network).fit(X, outputs).predict(X)
    assert predicted.shape == (300, 2)
    assert (predicted == outputs).mean(axis=0).min() > 0.5


def test_labels_that_are_continuous_or_missing_are_refused(digits):
    X, y = digits
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        fitted(X, y + 0.5)
    with pytest.raises(ValueError, match="NaN"):
        fitted(X, np.where(y == 3, np.nan, y))


# Class indices


@pytest.mark.parametrize(
    ("y", "classes"),
    [
        ([1.0, 0.0], [0, 1]),
        ([True, False], [0, 1]),
        ([1, 0], [False, True]),
        (np.array([2**63, 1], np.uint64), np.array([1, 2**63], np.uint64)),
        (np.array([2**53 + 1, 2**53], np.uint64), np.array([2**53, 2**53 + 1], np.int64)),
        (["dog", "a cat"], ["a cat", "dog"]),
        (np.array(["2001", "2000"], "M8[Y]"), np.array(["2000-01-01", "2001-01-01"], "M8[D]")),
    ],
)
def test_labels_are_found_whatever_their_dtype(y, classes):
    indices = encode_labels(np.asarray(y), np.asarray(classes))
    assert indices.tolist() == [1, 0]
    assert indices.dtype == np.int64


@pytest.mark.parametrize(
    ("y", "classes", "unknown"),
    [
        ([0, 9], [0, 1], "9"),
        ([0, -1], [0, 1], "-1"),
        ([1e300, 0], [0, 1], "1e+300"),
        ([256, 1], np.array([0, 1], np.uint8), "256"),
        (np.array([2**64 - 1], np.uint64), [-1, 0], str(2**64 - 1)),
        ([2**24 + 1], np.array([2**24, 2**25], np.float32), str(2**24 + 1)),
        ([7, 1], [False, True], "7"),
        (["0", "1"], [0, 1], "'0'"),
        ([0, 1], ["0", "1"], "0"),
        (["cats"], ["cat", "dog"], "'cats'"),
    ],
)
def test_a_label_that_is_not_a_class_is_refused(y, classes, unknown):
    with pytest.raises(ValueError, match=re.escape(f"y contains {unknown}, which is not among the classes [")):
        encode_labels(np.asarray(y), np.asarray(classes))


def test_every_label_is_encoded_as_in_a_dictionary():
    rng = np.random.default_rng(0)
    for n_classes in (2, 3, 100):
        classes = np.unique(rng.integers(-1000, 1000, n_classes))
        y = rng.choice(classes, 50)
        places = {label: place for place, label in enumerate(classes.tolist())}
        assert encode_labels(y, classes).tolist() == [places[label] for label in y.tolist()]


def test_scalars_are_not_labels(digits):
    assert convert_labels(3) == 3
    for y in (3, "cat"):
        with pytest.raises(ValueError, match="1d array"):
            fitted(digits[0], y)
    with pytest.raises(ValueError, match="dtype complex"):
        fitted(digits[0], digits[1] + 1j)


@pytest.mark.parametrize("y", [np.arange(4), np.array([0, 1, 1, 0])])
def test_a_row_of_labels_or_numbers_is_refused_with_what_to_write(y):
    for estimator in (ConvNetClassifier("INPUT -> FC"), ConvNetRegressor("INPUT -> FC")):
        with pytest.raises(ValueError, match=r"y has shape \(1, 4\), which is a single row\. Pass y\.ravel\(\)"):
            estimator.fit(np.eye(4), y.reshape(1, -1))
