"""The examples in the README run."""

import re
import zipfile
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Change to a folder with the archive of images that the README loads."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "parts.zip", "w") as archive:
        for name in ("good/1.png", "good/2.png", "good/3.png", "scratched/1.png", "scratched/2.png"):
            file = BytesIO()
            Image.fromarray(rng.integers(0, 256, (40, 36, 3)).astype(np.uint8)).save(file, "PNG")
            archive.writestr(name, file.getvalue())
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("parts")
def test_the_examples_run():
    namespace = {}
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    for block in blocks:
        if "sklearn.callback" in block and find_spec("sklearn.callback") is None:
            continue  # scikit-learn is older than 1.9
        exec(block, namespace)
    assert namespace["classifier"].score(namespace["X_test"], namespace["y_test"]) > 0.98
    assert set(namespace["search"].best_params_) == {"F", "K"}
