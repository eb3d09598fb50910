"""Draw the picture of the README and of the first page: ``python -m docs.picture``."""

from pathlib import Path

import matplotlib

from skconvnet.inspection import ArchitectureDisplay

FILE = Path(__file__).parent / "_static" / "network.png"
TEXT = "INPUT -> [CONV -> RELU -> CONV -> RELU -> POOL]*2 -> FC -> RELU -> FC"


def main():
    """Draw a network for images of 28x28 pixels, without fitting it."""
    matplotlib.use("agg")
    display = ArchitectureDisplay.from_text(TEXT, (28, 28, 1), K=[16, 32], hidden_layer_sizes=128)
    display.figure_.savefig(FILE, dpi=110, bbox_inches="tight", metadata={"Software": None})


if __name__ == "__main__":
    main()
