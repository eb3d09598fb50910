"""The benchmark of regression: its images, and what its table says."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from benchmarks import regression


class Given:
    """A generator that draws these angles, then these scales."""

    def __init__(self, *drawn):
        self.drawn = iter(drawn)

    def uniform(self, low, high, n):
        return np.full(n, next(self.drawn), float)


def ink(*given):
    """The pixels of a slanted bar after this angle and scale, 16x16."""
    bar = np.zeros((8, 8))
    bar[1:7, 3:5] = bar[1, 3:6] = 16
    X, y = regression.transformed(bar[None], 1, Given(*given))
    assert_array_equal(y, [given])
    return X.reshape(16, 16)


def direction(image):
    """The angle of the longest axis, from moments: degrees from the vertical, anticlockwise."""
    rows, columns = np.indices(image.shape)
    covariance = np.cov(np.stack([rows.ravel(), columns.ravel()]), aweights=image.ravel())
    return np.degrees(np.arctan2(2 * covariance[0, 1], covariance[0, 0] - covariance[1, 1])) / 2


def test_the_angle_turns_the_image_and_the_scale_enlarges_it():
    assert direction(ink(0, 1)) - direction(ink(30, 1)) == pytest.approx(30, abs=2)
    assert ink(0, 1.3).sum() / ink(0, 0.8).sum() == pytest.approx((1.3 / 0.8) ** 2, rel=0.05)


def test_training_and_test_show_other_digits_and_each_seed_draws_anew():
    X_train, X_test, y_train, y_test = regression.transformed_digits(3, 2, seed=0)
    assert (X_train.shape, X_test.shape) == ((3, 256), (2, 256))
    assert_array_equal(regression.transformed_digits(3, 2, seed=0)[2], y_train)
    assert not np.isin(regression.transformed_digits(3, 2, seed=1)[2], y_train).any()
    assert (np.abs(y_train) <= [45, 1.3]).all()
    assert y_test.shape == (2, 2)


def test_the_peer_learns_and_has_the_same_network(in_torch):
    from skconvnet import ConvNetRegressor

    rng = np.random.default_rng(0)
    X, y = rng.random((40, 256)), rng.random((40, 2)) * [90, 1]
    ours = ConvNetRegressor(max_iter=1, random_state=0).fit(X[:10], y[:10])
    shapes, error = in_torch(peer, X, y)
    assert sorted(np.prod(shape) for shape in shapes) == sorted(a.size for a in (*ours.coefs_, *ours.intercepts_))
    assert error < 0.8


def peer(X, y):
    """The shapes of the parameters, and the mean squared error of standardised targets."""
    fitted = regression.TorchRegressor(0, 1, max_iter=16).fit(X, y)
    return [tuple(p.shape) for p in fitted.module_.parameters()], np.mean(((fitted.predict(X) - y) / y.std(0)) ** 2)


def test_the_line_has_the_means_of_the_seeds():
    found = regression.line("a", [(0.5, 0.7, 2.0, 3.0), (0.7, 0.9, 4.0, 5.0)])
    assert found.split() == "a 0.7000 +- 0.1000 0.6000 0.8000 3.00 4.00".split()


def test_a_fit_is_scored_for_each_output():
    class Exact:
        def fit(self, X, y):
            return self

        def predict(self, X):
            return X

    y = np.random.default_rng(0).random((9, 2))
    angle, scale, *seconds = regression.fit_and_score(Exact(), None, y, None, y)
    assert_allclose([angle, scale], 1)
    assert len(seconds) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--images", "5"], "a whole number from 200 on is needed, not '5'"),
        (["--seeds", "0"], "a whole number from 1 on is needed, not '0'"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_measured(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(regression, "Side", None)
    with pytest.raises(SystemExit):
        regression.main(arguments)
    assert message in capsys.readouterr().err
