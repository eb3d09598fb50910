"""The benchmark of fine-tuning: its images, and the same network and recipe on both sides."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from benchmarks import finetune
from benchmarks.finetune import Case

SHAPE = (16, 16, 3)
NETWORKS = {
    "FC": "INPUT -> CONV(K=8, S=2, P=0, round=ceil) -> NORM -> RELU -> (CONV(K=8) | CONV(K=8, F=1))"
    " -> POOL(average, F=all) -> DROPOUT -> FC",
    "CONV": "INPUT -> CONV(K=8) -> RELU -> POOL -> CONV(F=1, K=classes) -> RELU -> POOL(average, F=all)",
}


def coloured(n, seed):
    """Images that are mostly red, green or blue, and their labels."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    X = rng.integers(0, 160, (n, *SHAPE), np.uint8)
    X[np.arange(n), :, :, y] += 90
    return X, np.array(["blue", "green", "red"])[2 - y]


@pytest.fixture(scope="module", params=NETWORKS)
def stored(request):
    """A network of two other classes, which has hardly learned."""
    from skconvnet import ConvNetClassifier
    from skconvnet.estimators.fitted import stored_network

    X, _ = coloured(12, 1)
    return stored_network(ConvNetClassifier(NETWORKS[request.param], max_iter=1, random_state=0).fit(X, [0, 1] * 6))


def case(stored, method):
    return Case("of a test", stored, 10, method, 4, 0.01, 0.1, ("flip", "crop"))


@pytest.mark.parametrize("method", ["features", "head", "all"])
def test_ours_learns(stored, method):
    accuracy, seconds = finetune.score_ours(case(stored, method), 0, *coloured(30, 2), *coloured(30, 3), 1)
    assert accuracy > 0.9
    assert seconds > 0


@pytest.mark.parametrize("method", ["features", "head", "all"])
def test_the_peer_learns(stored, method, in_torch):
    accuracy, _ = in_torch(finetune.score_peer, case(stored, method), 0, *coloured(30, 2), *coloured(30, 3), 1)
    assert accuracy > 0.9


def test_both_sides_have_the_same_features(stored, in_torch):
    """Without training, the peer's body and scikit-learn's regression give the labels that ours gives."""
    X, y = coloured(30, 2)
    ours = finetune.estimator(case(stored, "features"), 30, 0, 1).fit(X, y)
    theirs = in_torch(peer_features, case(stored, "features"), X)
    assert_allclose(ours[:2].transform(X), theirs, atol=1e-4)


def peer_features(case, X):
    return finetune.pooled(finetune.TunedModule(case, 3).features(X))


def test_draws_are_balanced_and_depend_on_the_seed():
    y = np.repeat(["a", "b"], [5, 9])
    chosen = finetune.draw(y, 3, seed=0)
    assert_array_equal(np.sort(y[chosen]), np.repeat(["a", "b"], 3))
    assert len(set(chosen)) == 6
    assert_array_equal(chosen, finetune.draw(y, 3, seed=0))
    assert set(chosen) != set(finetune.draw(y, 3, seed=1))


def test_images_are_scaled_as_in_a_folder(tmp_path):
    from PIL import Image

    from skconvnet import load_image

    image = coloured(1, 0)[0][0]
    Image.fromarray(image).save(tmp_path / "1.png")
    assert_array_equal(finetune.enlarged([image], 40)[0], load_image(tmp_path / "1.png", size=40))


def test_the_line_has_the_mean_of_the_seeds():
    found = finetune.line(case(None, "head"), {"ours": [(0.5, 2.0), (0.7, 4.0)], "PyTorch": [(0.5, 2.0)]})
    assert found.split() == "of a test 10 head 0.6000 +- 0.1000 3.0 0.5000 +- 0.0000 2.0".split()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "tail"], "invalid choice: 'tail'"),
        (["--per-class", "0"], "a whole number from 1 on is needed, not '0'"),
        (["--augment", "cutout"], "invalid choice: 'cutout'"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_measured(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(finetune, "Side", None)
    with pytest.raises(SystemExit):
        finetune.main(["folder", *arguments])
    assert message in capsys.readouterr().err
