"""Look at filters and activations
===============================

The first layer of a network looks at pixels, so its filters are images: edges, strokes and spots.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from skconvnet import ConvNetClassifier
from skconvnet.inspection import ActivationsDisplay, FiltersDisplay

X, y = load_digits(return_X_y=True)
classifier = ConvNetClassifier(F=5, K=16, max_iter=10, random_state=0).fit(X, y)

# %%
# Medium grey is zero: a filter answers to light where it is light, and to dark where it is dark.
FiltersDisplay.from_estimator(classifier)

# %%
# A filter of the second CONV has an image for each of the 16 channels that it reads.
FiltersDisplay.from_estimator(classifier, "CONV 2", max_filters=8)

# %%
# What each layer makes of one image: a column for each layer, and the scores of the classes at the end.
ActivationsDisplay.from_estimator(classifier, X[0])
plt.show()
