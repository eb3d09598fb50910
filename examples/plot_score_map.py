"""Search a larger image
======================

A network that was fitted on small images gives scores at every position in a larger one.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skconvnet import ConvNetClassifier
from skconvnet.inspection import ScoreMapDisplay

X, y = load_digits(return_X_y=True)
rng = np.random.default_rng(0)
page = rng.uniform(0, 4, size=(40, 60))
for row, column, digit in ((2, 4, 3), (22, 12, 4), (28, 46, 6)):
    page[row : row + 8, column : column + 8] = X[digit].reshape(8, 8)

# %%
# The network has a class for windows without a digit, -1.
empty = rng.uniform(0, 4, size=(400, 64))
images, labels = np.concatenate([X, empty]), np.concatenate([y, np.full(400, -1)])
text = "INPUT -> CONV(K=16, P=0) -> RELU -> CONV(K=16, P=0) -> RELU -> FC(32) -> RELU -> FC"
classifier = ConvNetClassifier(text, max_iter=10, random_state=0).fit(images, labels)

# %%
# Each score stands in the middle of its window. The frame is the window of the highest score.
ScoreMapDisplay.from_estimator(classifier, page, target=4)
plt.show()
