"""Draw the case studies
=====================

The networks of the CS231n notes, as boxes in perspective. No network is fitted: a text in the notation and the shape of
an image are enough.
"""

import matplotlib.pyplot as plt

from skconvnet import ARCHITECTURES
from skconvnet.inspection import ArchitectureDisplay

# %%
# LeNet-5 reads digits:
ArchitectureDisplay.from_text(ARCHITECTURES["lenet5"], (32, 32, 1))

# %%
# AlexNet reads photographs of a thousand classes:
ArchitectureDisplay.from_text(ARCHITECTURES["alexnet"], (227, 227, 3))

# %%
# VGGNet consists of CONV of 3x3 and POOL of 2x2 alone:
ArchitectureDisplay.from_text(ARCHITECTURES["vgg16"], (224, 224, 3))

# %%
# Branches are drawn beside each other. This is an inception module as in GoogLeNet:
ArchitectureDisplay.from_text(
    "INPUT -> (CONV(K=16, F=1) -> RELU | CONV(K=24, F=3) -> RELU | POOL(F=3, S=1, P=1)) -> POOL(average, F=all) -> FC",
    (28, 28, 32),
    n_classes=10,
)

# %%
# :meth:`skconvnet.Architecture.summary` has the volumes as a table, with parameters and memory:
print(ARCHITECTURES["lenet5"].summary((32, 32, 1)))
plt.show()
