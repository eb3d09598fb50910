"""The examples in docs/search.md."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "search.md"


def test_the_examples_run():
    namespace = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(block, namespace)
    assert set(namespace["search"].best_params_) == {"F", "K", "alpha", "learning_rate_init"}
