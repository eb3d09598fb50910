"""The benchmark behind the page "Which network for my images?": its contestants, and what it refuses."""

import numpy as np
import pytest
from sklearn.svm import SVC

from benchmarks import which_network
from benchmarks.which_network import contestant
from skconvnet import ConvNetClassifier, save_network

RGB = (16, 16, 3)


def coloured(n):
    """Images that are mostly red, green or blue, and their labels."""
    y = np.arange(n) % 3
    X = np.random.default_rng(0).integers(0, 160, (n, *RGB), np.uint8)
    X[np.arange(n), :, :, y] += 90
    return X, y


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    file = tmp_path_factory.mktemp("pretrained") / "network.safetensors"
    X, y = coloured(12)
    text = "INPUT -> CONV(K=8) -> RELU -> POOL(average, F=all) -> FC"
    save_network(ConvNetClassifier(text, max_iter=1, random_state=0).fit(X, y > 1), file)
    return str(file)


@pytest.mark.parametrize("network", ["SVC", "features", "fine-tuned"])
def test_a_contestant_learns(network, pretrained):
    X, y = coloured(36)
    accuracy, seconds = which_network.accuracy_and_seconds(network, pretrained, 0, 1, X, X, y, y)
    assert accuracy > 0.9
    assert seconds > 0


def test_contestants_are_what_the_docstring_says():
    assert isinstance(contestant("SVC", None, 0, 1, RGB)[-1], SVC)
    written = {line.strip() for line in which_network.__doc__.splitlines()}
    for name, parameters in which_network.NETWORKS.items():
        classifier = contestant(name, None, 0, 1, RGB)
        given = {key: value for key, value in classifier.get_params().items() if key in parameters}
        assert given == parameters
        assert any(line.split()[:1] == [name] for line in written)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cifar10"], "cifar10 needs --path"),
        (["digits", "--side", "64"], "--side is of cifar10"),
        (["digits", "--networks", "features", "--pretrained", "a"], "features need cifar10, and --pretrained"),
        (["cifar10", "--cache", "a", "--networks", "fine-tuned"], "fine-tuned need cifar10, and --pretrained"),
        (["digits", "--images", "1700"], "--images 1700 and --test 1000, of 1797 images in all"),
        (["digits", "--images", "10"], "a whole number from 100 on is needed, not '10'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_arguments_are_refused_before_anything_is_measured(arguments, message, capsys, monkeypatch):
    monkeypatch.setattr(which_network, "Side", None)
    with pytest.raises(SystemExit) as ended:
        which_network.main(arguments)
    assert ended.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())
