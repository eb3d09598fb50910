"""Find a learning rate
====================

`find_learning_rate` trains a copy of the network for a hundred steps, each with a higher rate than the one before.
Where the loss falls steeply, the rate is a good one; where it rises, it is too high.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from skconvnet import ConvNetClassifier, find_learning_rate

X, y = load_digits(return_X_y=True)
curve = find_learning_rate(ConvNetClassifier(K=8, random_state=0), X, y)
curve.plot()
print(f"suggestion: {curve.suggestion:.4f}")
plt.show()
