"""The examples in the README."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_examples_run():
    namespace = {}
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    for block in blocks:
        exec(block, namespace)
    assert namespace["classifier"].score(namespace["X_test"], namespace["y_test"]) > 0.98
    assert set(namespace["search"].best_params_) == {"F", "K"}
