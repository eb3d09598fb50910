"""The examples in the pages of docs/ run."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import sklearn
from numpy.testing import assert_array_equal
from PIL import Image

from skconvnet import ConvNetClassifier, save_network
from tests.estimators.quick import same_network

DOCS = Path(__file__).parents[2] / "docs"


def run(page, **instead):
    """Run the Python blocks of a page, one after another. Return their variables.

    `instead` are names and numbers of the page, and what takes their place.
    """
    namespace = {}
    with sklearn.config_context():  # restore scikit-learn's settings after the page
        for block in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL):
            for name, other in instead.items():
                assert name in (DOCS / page).read_text(encoding="utf-8")
                block = block.replace(name, other)
            exec(block, namespace)
    return namespace


def test_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for number in range(16):
        file = Path("photos", "day" if number % 2 else "night", f"{number}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 80 + 175 * (number % 2), (40, 40, 3), np.uint8)).save(file)
    Image.fromarray(np.full((50, 60, 3), 9, np.uint8)).save("photo.jpg")
    named = run("images.md")
    assert same_network(named["classifier"], named["streamed"])
    assert np.array_equal(named["X"], named["photos"].data[np.argsort(named["y"], kind="stable")])
    assert named["classifier"].predict(named["photos"].load("photo.jpg")).shape == (1,)


def test_pretrained_networks(tmp_path, monkeypatch):
    """With a small network, and images of 24x24 pixels of one colour."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    y = np.repeat(["blue", "green", "red"], 8)
    X = rng.integers(0, 160, (24, 30, 40, 3), np.uint8)
    X[np.arange(24), :, :, 2 - np.arange(24) // 8] += 90
    for number, (image, label) in enumerate(zip(X, y, strict=True)):
        Path("photos", label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(Path("photos", label, f"{number}.png"))
    Image.fromarray(X[0]).save("photo.jpg")
    text = "INPUT -> CONV(K=8) -> RELU -> POOL -> CONV(K=8) -> RELU -> POOL(average, F=all) -> FC"
    save_network(
        ConvNetClassifier(text, max_iter=1, random_state=0).fit(X[:, :24, :24], np.arange(24) % 2), "body.safetensors"
    )
    named = run("pretrained.md", **{'"efficientnet_lite0"': '"body.safetensors"', "size=224": "size=24"})
    X_test, y_test = named["X_test"], named["y_test"]
    assert all(named[name].score(X_test, y_test) == 1 for name in ("features", "head", "classifier", "gradual"))
    assert named["classifier"].predict([named["image"]]) == ["blue"]


def test_augmentation():
    pytest.importorskip("matplotlib", reason="Matplotlib is not installed").use("agg")
    named = run("augmentation.md")
    assert named["variants"].shape == (4, 8, 8, 8, 1)
    assert named["drop_channel"](np.ones((2, 3, 3, 3)), np.random.default_rng(0)).sum() == 2 * 9 * 2


def test_keeping_a_network(tmp_path, monkeypatch):
    pytest.importorskip("skops", reason="skops is not installed (`make peers` installs it)")
    monkeypatch.chdir(tmp_path)
    named = run("persistence.md")
    assert named["foreign"] == []
    assert named["classifier"].score(named["X"], named["y"]) > 0.9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["digits.pickle", "digits.safetensors", "digits.skops"]
    first = pickle.loads(Path("digits.pickle").read_bytes())
    assert_array_equal(named["classifier"].predict(named["X"]), first.predict(named["X"]))


def test_use_of_a_gpu():
    assert run("gpu.md")["classifier"].n_iter_ == 2
