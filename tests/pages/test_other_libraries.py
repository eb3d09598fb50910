"""The code of other libraries in the pages that compare with them prints what the pages say."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("library", ["skorch", "keras"])
def test_code_prints_a_score_like_the_one_of_its_page(library):
    """In a process of its own, since the OpenMP runtimes of PyTorch and Numba may be two."""
    if not (find_spec(library) and find_spec("torch")):
        pytest.skip(f"needs PyTorch and {library} (`make peers` installs PyTorch and skorch, and nothing Keras)")
    page = (DOCS / f"coming-from-{library}.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```py\n(.*?)```", page, re.DOTALL)
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"},
    )
    assert process.returncode == 0, process.stderr
    assert float(process.stdout) == pytest.approx(float(re.search(r"This prints (0\.\d\d)", page)[1]), abs=0.03)
