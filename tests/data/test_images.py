"""Images: accepted forms, refused input and the errors."""

import re
from math import prod

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn import config_context

from skconvnet import ConvNetClassifier
from skconvnet.data import check_images, check_images_and_labels, check_larger_images
from skconvnet.data.images import check_values
from skconvnet.engine import PixelSource


def check(X, image_shape=None):
    """Check training images as fit does."""
    return check_images(ConvNetClassifier(), X, image_shape, reset=True)


def refused(message):
    return pytest.raises(ValueError, match=re.escape(message))


def test_a_given_image_shape_decides_what_rows_are():
    assert check(np.zeros((2, 64)), (4, 16, 1)).shape == (4, 16, 1)
    assert check(np.zeros((2, 64)), [4, 16]).shape == (4, 16, 1)
    assert check(np.zeros((2, 48)), np.array([4, 4, 3])).shape == (4, 4, 3)


def test_images_have_their_own_shape():
    assert check(np.zeros((2, 5, 7))).shape == (5, 7, 1)
    assert check(np.zeros((2, 5, 7, 3))).shape == (5, 7, 3)
    assert check(np.zeros((2, 5, 7)), (5, 7, 1)).shape == (5, 7, 1)


def test_n_features_of_images():
    estimator = ConvNetClassifier()
    check_images(estimator, np.zeros((2, 5, 7, 3)), None, reset=True)
    assert estimator.n_features_in_ == 105
    check_images(estimator, np.zeros((2, 105)), (5, 7, 3))
    with refused("X has 104 features, but ConvNetClassifier is expecting 105 features as input"):
        check_images(estimator, np.zeros((2, 104)), (5, 7, 3))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int16, np.int64, np.float16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6, 12), (6, 3, 4), (6, 2, 2, 3)])
def test_arrays_are_not_copied_whatever_their_dtype(dtype, shape):
    X = np.ones(shape, dtype)
    X.flags.writeable = False
    images = check(X)
    assert images.pixels.dtype == dtype
    assert np.shares_memory(images.pixels, X)


def test_memory_maps_and_fortran_order_are_not_copied(tmp_path):
    mapped = np.memmap(tmp_path / "X", np.float32, "w+", shape=(5, 4, 4))
    assert np.shares_memory(check(mapped).pixels, mapped)
    fortran = np.asfortranarray(np.zeros((5, 16)))
    assert np.shares_memory(check(fortran).pixels, fortran)


def test_lists_and_objects_are_accepted():
    rows = np.arange(12.0).reshape(3, 4)
    for X in (rows.tolist(), rows.astype(object)):
        images = check(X)
        assert images.shape == (2, 2, 1)
        np.testing.assert_array_equal(images.pixels, rows)
    np.testing.assert_array_equal(check(rows.reshape(3, 2, 2).tolist()).pixels, rows.reshape(3, 2, 2))


def test_column_names_of_a_data_frame():
    pandas = pytest.importorskip("pandas")
    estimator, frame = ConvNetClassifier(), pandas.DataFrame(np.eye(4), columns=list("abcd"))
    images = check_images(estimator, frame, None, reset=True)
    np.testing.assert_array_equal(images.pixels, np.eye(4))
    assert estimator.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names should match"):
        check_images(estimator, frame[list("dcba")], (2, 2, 1))


@pytest.mark.parametrize(
    ("image_shape", "X_shape", "message"),
    [
        ((5, 5, 1), (2, 24), "X has rows of 24 features, but images of shape (5, 5, 1) have 5 * 5 * 1 = 25"),
        ((5, 5, 1), (2, 5, 4), "X has images of shape (5, 4, 1), but images of shape (5, 5, 1) are expected"),
        ((5, 5, 3), (2, 5, 5), "X has shape (2, 5, 5), but images of shape (5, 5, 3) are expected"),
        ((5, 5, 3), (2, 3, 5, 5), "X has images of shape (3, 5, 5), but images of shape (5, 5, 3) are expected"),
        (None, (2, 5, 5, 3, 1), "X has shape (2, 5, 5, 3, 1). It must have rows"),
        (None, (2, 5, 0), "with at least 1 pixel"),
        (None, (0, 5, 5), "0 sample(s)"),
        (None, (2, 0), "0 feature(s)"),
        (None, (5,), "X has shape (5,). Reshape your data: pass images of shape (n, height, width)"),
        (None, (0,), "A single image is passed as X[np.newaxis]"),
        ((2, 5, 5), (2, 5, 5), "The first number of X.shape is the number of images: pass image_shape=(5, 5)."),
        (25, (2, 25), "image_shape=25 is not an image shape. Use (height, width, channels)"),
        ((25,), (2, 25), "image_shape=(25,) is not an image shape"),
        ("ab", (2, 25), "image_shape='ab' is not an image shape"),
        ((5, 5, 1, 1), (2, 25), "image_shape=(5, 5, 1, 1) is not an image shape"),
        ((5.0, 5, 1), (2, 25), "image_shape=(5.0, 5, 1) is not an image shape"),
        ((5, 5, True), (2, 25), "image_shape=(5, 5, True) is not an image shape"),
        ((-5, -5, 1), (2, 25), "image_shape=(-5, -5, 1) is not an image shape"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(image_shape, X_shape, message):
    with refused(message):
        check(np.zeros(X_shape), image_shape)


def fitted(image_shape):
    """An estimator that was fitted on images of this shape, as far as the checks need it."""
    estimator = ConvNetClassifier()
    check_images(estimator, np.zeros((2, prod(image_shape))), image_shape, reset=True)
    return estimator


CHANNELS_FIRST = " This looks like channels first: pass X.transpose(0, 2, 3, 1)."


def test_errors_in_predict_suggest_channels_last():
    came, end = "X has images of shape (3, 32, 24), but images of shape (32, 24, 3) are expected.", CHANNELS_FIRST
    with refused(came + end):
        check_images(fitted((32, 24, 3)), np.zeros((2, 3, 32, 24)), (32, 24, 3))
    with refused(came + end):
        check_images_and_labels(fitted((32, 24, 3)), np.zeros((2, 3, 32, 24)), [0, 1], (32, 24, 3))
    with pytest.raises(ValueError, match=r"are expected\. Resize them to 32 high and 24 wide\.$"):
        check_images(fitted((32, 24, 3)), np.zeros((2, 3, 24, 32)), (32, 24, 3))


@pytest.mark.parametrize(
    ("X_shape", "end"),
    [
        (
            (2, 40, 24, 3),
            "Resize them to 32 high and 24 wide, or use score_map, which scores every part",
        ),
        ((2, 40, 20, 3), "Resize them to 32 high and 24 wide."),
        (
            (2, 40, 24),
            "Resize them to 32 high and 24 wide. Read them with load_image_folder(path, channels=3)",
        ),
        ((2, 32, 24), "are expected. Read them with load_image_folder(path, channels=3), or repeat"),
    ],
)
def test_errors_in_predict_say_what_to_do_with_images_of_another_size(X_shape, end):
    with refused(end):
        check_images(fitted((32, 24, 3)), np.zeros(X_shape), (32, 24, 3))


def test_channels_first_and_of_another_number_are_both_told():
    with refused(f"{CHANNELS_FIRST} Read them with load_image_folder(path, channels=1)"):
        check_images(fitted((8, 8, 1)), np.zeros((2, 3, 8, 8)), (8, 8, 1))
    with pytest.raises(ValueError, match=re.escape(CHANNELS_FIRST) + "$"):
        check_images(fitted((8, 8, 1)), np.zeros((2, 1, 8, 8)), (8, 8, 1))


def test_an_image_shape_that_is_not_that_of_the_images_is_an_error_with_the_right_one():
    with refused("are expected. Pass image_shape=(5, 5, 3), or other images."):
        check(np.zeros((2, 5, 5, 3)), (5, 5, 1))
    with refused("of shape (5, 5, 1) are expected. Read them with load_image_folder(path, channels=1)"):
        check_images(fitted((5, 5, 1)), np.zeros((2, 5, 5, 3)), (5, 5, 1))


def test_a_single_row_is_refused():
    for form in (np.asarray, np.ndarray.tolist):
        with refused("X has shape (64,), which is that of a single image. Reshape your data: pass X[None], of"):
            check_images(fitted((8, 8, 1)), form(np.zeros(64)), (8, 8, 1))


@pytest.mark.parametrize(
    ("X_shape", "image_shape"), [((32, 32, 3), (32, 32, 3)), ((8, 8), (8, 8, 1)), ((8, 8, 1), (8, 8, 1))]
)
@pytest.mark.parametrize("form", [np.asarray, np.ndarray.tolist])
def test_a_single_image_is_refused(X_shape, image_shape, form):
    message = f"X has shape {X_shape}, which is that of a single image. Reshape your data: pass X[None], of shape (1, "
    message += f"{str(X_shape)[1:]}; of an array of images, X[:1] instead of X[0]."
    with refused(message):
        check_images(fitted(image_shape), form(np.zeros(X_shape)), image_shape)
    with refused(message):
        check_images_and_labels(fitted(image_shape), form(np.zeros(X_shape)), [0] * X_shape[0], image_shape)
    assert len(check_images(fitted(image_shape), np.zeros(X_shape)[None], image_shape)) == 1


@pytest.mark.parametrize(
    ("X_shape", "image_shape", "end"),
    [
        ((24, 32, 3), (24, 32, 1), "(24, 32, 1). Read them with load_image_folder(path, channels=1), or average"),
        (
            (48, 64, 3),
            (24, 32, 1),
            "Resize them to 24 high and 32 wide. Read them with load_image_folder(path, channels",
        ),
        ((60, 24, 3), (32, 32, 3), "fitted on images of shape (32, 32, 3). Resize them to 32 high and 32 wide."),
        ((48, 64, 1), (24, 32, 1), "Resize them to 24 high and 32 wide, or use score_map"),
    ],
)
def test_a_single_image_of_another_shape_is_told_as_one(X_shape, image_shape, end):
    with refused(f"X has shape {X_shape}. If X is a single image, pass X[None], of shape (1, ") as caught:
        check_images(fitted(image_shape), np.zeros(X_shape), image_shape)
    assert end in str(caught.value)


def test_small_grey_images_are_not_said_to_be_a_single_one():
    """Ten images of 5 x 3 pixels have the shape of one image in colour."""
    for check_such in (check_images, check_larger_images):
        with refused("X has shape (10, 5, 3). If X is a single image, pass X[None]"):
            check_such(fitted((8, 8, 1)), np.zeros((10, 5, 3)), (8, 8, 1))


@pytest.mark.parametrize("check_such", [check_images, check_larger_images])
def test_a_single_image_with_its_channels_first_is_told_as_one(check_such):
    for X_shape, end in [((3, 8, 8), "pass X.transpose(1, 2, 0)[None]."), ((3, 6, 8), "fitted on images of shape (8")]:
        with refused(f"X has shape {X_shape}. If it is one image with its channels first, ") as caught:
            check_such(fitted((8, 8, 3)), np.zeros(X_shape), (8, 8, 3))
        assert end in str(caught.value)
    assert len(check_such(fitted((8, 8, 1)), np.zeros((3, 8, 8)), (8, 8, 1))) == 3


def test_rows_of_another_length_may_be_a_single_grey_image():
    for image_shape in ((8, 8, 1), (32, 32, 3)):
        came = (
            f"X has 20 features, but ConvNetClassifier is expecting {prod(image_shape)} features as input, images of "
        )
        with refused(f"{came}shape {image_shape}. If X is a single image, pass X[None]."):
            check_images(fitted(image_shape), np.zeros((20, 20)), image_shape)
    with pytest.raises(ValueError, match=r"\(8, 8, 1\)\.$"):
        check_images(fitted((8, 8, 1)), np.zeros((2, 20)), (8, 8, 1))


def test_a_page_for_score_map_is_told_to_be_a_single_image():
    with refused("X has shape (20, 20), which is that of a single image. Reshape your data: pass X[None]"):
        check_larger_images(fitted((8, 8, 1)), np.zeros((20, 20)), (8, 8, 1))
    with refused("X has shape (20, 20, 3). If X is a single image, pass X[None]") as caught:
        check_larger_images(fitted((8, 8, 1)), np.zeros((20, 20, 3)), (8, 8, 1))
    assert "average their channels" in str(caught.value)
    for X_shape, image_shape in (((20, 20), (8, 8, 3)), ((6, 64), (8, 8, 1))):
        with refused("the height and width of rows are not known. If X is a single image, pass X[None]."):
            check_larger_images(fitted(image_shape), np.zeros(X_shape), image_shape)


@pytest.mark.parametrize("X", [np.float64(3), 3, np.zeros(64)])
def test_score_map_refuses_what_has_no_rows(X):
    with refused(f"X has shape {np.shape(X)}. Pass images of shape (n, height, width) or (n, height, width, channels)"):
        check_larger_images(fitted((8, 8, 1)), X, (8, 8, 1))


@pytest.mark.parametrize(
    ("X_shape", "image_shape", "n"),
    [((1, 28), (1, 28, 1), 1), ((1, 1), (1, 1, 1), 1), ((1, 1, 1), (1, 1, 1), 1), ((4, 4, 4), (4, 4, 1), 4)],
)
def test_ambiguous_shapes_are_several_images(X_shape, image_shape, n):
    assert len(check_images(fitted(image_shape), np.zeros(X_shape), image_shape)) == n


def test_a_table_whose_rows_are_not_yet_counted():
    """As Dask has them: the number of rows can be compared with no other."""

    class NotCounted:
        def __eq__(self, other):
            raise TypeError

    class Table:
        columns = range(64)
        shape = (NotCounted(), 64)

        def __len__(self):
            return 3

        def __array__(self, dtype=None, copy=None):
            return np.zeros((3, 64))

    assert len(check_images(fitted((8, 8, 1)), Table(), (8, 8, 1))) == 3
    with refused("X has 64 features, but ConvNetClassifier is expecting 16 features as input"):
        check_images(fitted((4, 4, 1)), Table(), (4, 4, 1))


def test_array_likes_without_a_shape():
    class Convertible:
        """An array-like of scikit-learn's checks: np.asarray converts it, but other NumPy functions refuse it."""

        def __array__(self, dtype=None, copy=None):
            return np.zeros((8, 8))

        def __array_function__(self, *arguments):
            raise TypeError

    with refused("that of a single image"):
        check_images(fitted((8, 8, 1)), Convertible(), (8, 8, 1))


def test_errors_name_the_shape_of_the_array():
    with pytest.raises(ValueError, match=r"^X has shape \(40, 40, 5\), but images of shape \(32, 32, 3\) are expected"):
        check_images(fitted((32, 32, 3)), np.zeros((40, 40, 5)), (32, 32, 3))


def test_larger_images_of_other_shapes_are_refused():
    estimator = fitted((8, 10, 3))
    with refused("with 3 channels." + CHANNELS_FIRST):
        check_larger_images(estimator, np.zeros((2, 3, 9, 11)), (8, 10, 3))
    with refused("X has shape (9, 11, 3), which is that of a single image. Reshape your data: pass X[None]"):
        check_larger_images(estimator, np.zeros((9, 11, 3)), (8, 10, 3))
    for shape in ((2, 3, 7, 11), (9, 11, 3, 1)):
        with pytest.raises(ValueError, match=r"with 3 channels\.$"):
            check_larger_images(estimator, np.zeros(shape), (8, 10, 3))
    assert len(check_larger_images(estimator, np.zeros((9, 11, 3))[None], (8, 10, 3))) == 1


@pytest.mark.parametrize(
    ("value", "name"),
    [(np.nan, "NaN"), (np.inf, "infinity"), (-np.inf, "infinity"), (1e39, "1e+39, infinity in float32,")],
)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("shape", "place"), [((100, 8), (57, 3)), ((100, 2, 4), (57, 1, 2))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, ">f8"])
def test_values_that_are_not_finite_are_refused_with_their_place(value, name, order, shape, place, dtype):
    X = np.zeros(shape, dtype, order)
    with np.errstate(over="ignore"):
        X[place] = value
    name = "infinity" if np.isinf(X[place]) else name
    for block_bytes in (1000, 2**20):  # the value is in a later block, or in the only one
        with refused(f"Input X contains {name} at X[{', '.join(map(str, place))}]"):
            check_values(X, block_bytes)
    with refused(f"contains {name}"):
        check(X)


def test_the_last_block_is_checked():
    X = np.zeros((101, 4))
    X[100, 3] = np.nan
    with refused("NaN at X[100, 3]"):
        check_values(X, block_bytes=100)


@pytest.mark.parametrize(
    ("value", "dtype"), [(-7.5, "f2"), (7.5, "f4"), (-3e38, "f8"), (-128, "i1"), (2**64 - 1, "u8")]
)
def test_an_upper_bound_of_the_pixels_is_known(value, dtype):
    X = np.zeros((50, 4), dtype)
    X[3, 2] = value
    for block_bytes in (64, 2**20):
        largest = check_values(X, block_bytes)
        assert largest == abs(value) if X.dtype.kind == "f" else largest >= abs(value)
    assert check(X).largest == largest


@pytest.mark.parametrize("method", ["predict", "score_map"])
@pytest.mark.parametrize("shape", [(7, 4, 4), (7, 4, 4, 1)])
def test_grey_images_for_a_network_of_colours_are_told_what_to_do(method, shape):
    X = np.random.default_rng(0).integers(0, 256, (20, 4, 4, 3))
    estimator = ConvNetClassifier(**SMALL).fit(X, np.arange(20) % 2)
    with refused("Read them with load_image_folder(path, channels=3), or repeat the grey channel three times."):
        getattr(estimator, method)(np.zeros(shape))


def test_lists_of_images_are_accepted():
    images = list(np.arange(32.0).reshape(2, 4, 4))
    assert_array_equal(check(images).pixels, images)
    assert_array_equal(check([images[0], images[1].tolist()]).pixels, images)


def test_assume_finite_is_respected():
    with config_context(assume_finite=True):
        check(np.full((3, 4), np.nan))


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros((3, 4), complex), ValueError, "Complex data not supported"),
        (np.zeros((3, 2, 2), complex), ValueError, "Complex data not supported"),
        (np.zeros((3, 4), "M8[s]"), ValueError, "dtype datetime64"),
        (sparse.csr_array(1j * np.eye(4)), ValueError, "Complex data not supported"),
    ],
)
def test_arrays_of_other_types_are_refused(X, error, message):
    with pytest.raises(error, match=message):
        check(X)


# Images that are no array


class Ramp(PixelSource):
    """Images whose pixels all have the image's number. `most` is the most images that were read at a time."""

    most = 0

    def read(self, indices):
        self.most = max(self.most, len(indices))
        return np.broadcast_to(indices.reshape(-1, *[1] * (self.ndim - 1)), (len(indices), *self.shape[1:])).astype(
            self.dtype
        )


@pytest.mark.parametrize("shape", [(5, 16), (5, 4, 4), (5, 4, 4, 1)])
def test_a_pixel_source_is_accepted(shape):
    source, estimator = Ramp(shape, np.float64), ConvNetClassifier()
    images = check_images(estimator, source, None, reset=True)
    assert (images.pixels, images.shape, images.largest, estimator.n_features_in_) == (source, (4, 4, 1), 4, 16)
    assert check_images(estimator, source, (4, 4, 1)).pixels is source
    with refused("5 * 5 * 1 = 25" if len(shape) == 2 else "images of shape (5, 5, 1) are expected"):
        check_images(ConvNetClassifier(), source, (5, 5, 1), reset=True)
    with refused("no image. Pass at least one."):
        check(Ramp((0, *shape[1:]), np.float64))


def test_a_pixel_source_is_read_a_minibatch_at_a_time():
    y, sources = np.arange(600) % 2, [Ramp((600, 64, 64), dtype) for dtype in (np.uint16, np.float32)]
    for source in sources:
        X = source[:]
        dense = ConvNetClassifier(**SMALL, early_stopping=True).fit(X, y)
        source.most = 0
        streamed = ConvNetClassifier(**SMALL, early_stopping=True).fit(source, y)
        assert_array_equal(dense.decision_function(X), streamed.decision_function(source))
        assert source.most <= 512  # those that are scored at a time: 8 MiB of float32
        larger = Ramp((100, 65, 64), source.dtype)
        assert_array_equal(streamed.score_map(larger), dense.score_map(larger[:]))


# Pixels that float32 cannot standardise

SMALL = {"architecture": "INPUT -> FC", "max_iter": 1, "random_state": 0, "n_jobs": 1}


def nearly_constant(deviation, dtype=np.float32):
    """Twenty images with this standard deviation."""
    return (deviation * np.random.default_rng(0).standard_normal((20, 2, 2, 1))).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
@pytest.mark.parametrize("method", ["predict", "decision_function", "score_map"])
def test_pixels_too_far_from_the_training_pixels_are_refused(dtype, method):
    estimator = ConvNetClassifier(**SMALL).fit(nearly_constant(1e-30), np.arange(20) % 2)
    X = np.zeros((7, 2, 2, 1), dtype)
    getattr(estimator, method)(X)
    X[5, 1, 0, 0] = 100
    with pytest.raises(ValueError, match=r"X\[5, 1, 0, 0\] is 100\. .* standard deviation \S+e-31,.* Scale all"):
        getattr(estimator, method)(X)
    if dtype is not np.uint8:
        with config_context(assume_finite=True):
            getattr(estimator, method)(X)


def test_training_and_validation_pixels_too_far_from_the_mean_are_refused():
    X, y = nearly_constant(1e-30), np.arange(20) % 2
    far = X.copy()
    far[3, 0, 1] = 1
    with refused("X[3, 0, 1, 0] is 1."):
        ConvNetClassifier(**SMALL).fit(far, y, sample_weight=np.arange(20) != 3)
    estimator = ConvNetClassifier(**SMALL)
    with refused("X_val[3, 0, 1, 0] is 1."):
        estimator.fit(X, y, X_val=far, y_val=y)
    assert not hasattr(estimator, "coefs_")
    estimator.fit(X, y)
    with refused("X[3, 0, 1, 0] is 1."):
        estimator.partial_fit(far, y)


@pytest.mark.parametrize("form", [lambda X: X, lambda X: X.reshape(20, 4), np.asfortranarray])
def test_a_signal_too_small_for_float32_at_its_offset_is_refused(form):
    X, y = nearly_constant(1.0, np.float64), np.arange(20) % 2
    for offset in (1e8, -1e10):
        with pytest.raises(ValueError, match=r"pixels of X in channel 0 are between .* Subtract a constant"):
            ConvNetClassifier(**SMALL).fit(form(X + offset), y)
    ConvNetClassifier(**SMALL).fit(form(X + 1e5), y)
    ConvNetClassifier(**SMALL).fit(form(0.1 + 1e-16 * X), y)  # rounding errors of a constant
