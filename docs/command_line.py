"""The options with which sphinx-gallery runs the examples that have a command line."""

import re
from pathlib import Path


def options_of(gallery_conf, script_vars):
    """Return the options that an example's docstring names, as "The output below is of ...".

    Pictures are written to the folder of the gallery, which is generated.
    """
    source = Path(script_vars["src_file"]).read_text(encoding="utf-8")
    options = re.search(r"The output below\s+is\s+of\s+``(.*?)``", source)
    folder = Path(script_vars["target_file"]).parent
    words = options[1].split() if options else []
    return [str(folder / word) if word.endswith(".png") else word for word in words]
