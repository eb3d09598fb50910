"""The benchmarks of accuracy on CIFAR-10 and by epochs: what they refuse, and what they measure."""

import numpy as np
import pytest

from benchmarks import cifar10_default, epochs


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cifar10"], "cifar10 needs --path"),
        (["digits", "--images", "1700"], "--images 1700 leaves 97 of 1797 images for the test; 200 are needed"),
        (["digits", "--images", "10"], "a whole number from 200 on is needed, not '10'"),
        (["mnist"], "invalid choice: 'mnist'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_epochs_refuse_wrong_arguments(arguments, message, capsys):
    with pytest.raises(SystemExit):
        epochs.main(arguments)
    assert message in " ".join(capsys.readouterr().err.split())


def test_mirrored_scores_count_the_mirror_image(monkeypatch):
    """The left half decides alone; with the mirror image, both do."""

    class LeftHalf:
        classes_ = np.array(["dark", "light"])

        def __init__(self, **parameters):
            assert parameters["architecture"] == "auto"

        def fit(self, X, y):
            return self

        def decision_function(self, X):
            light = X[:, :, : X.shape[2] // 2].mean(axis=(1, 2, 3))
            return np.stack([-light, light], axis=1)

    monkeypatch.setattr(cifar10_default, "ConvNetClassifier", LeftHalf)
    X = np.zeros((3, 4, 4, 3))
    X[:, :, :2], X[:, :, 2:] = -1, 2
    X[2] = 1
    accuracy, mirrored, *_ = cifar10_default.results("auto", 1, 0, 1, X, X, None, np.repeat("light", 3))
    assert (accuracy, mirrored) == (pytest.approx(1 / 3), 1)
