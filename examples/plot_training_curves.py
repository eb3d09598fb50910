"""Look at a training
==================

Loss, accuracy and learning rate of every epoch, of a fit that early stopping ends.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from skconvnet import ConvNetClassifier
from skconvnet.inspection import TrainingCurvesDisplay

X, y = load_digits(return_X_y=True)
options = {"K": 8, "N": 1, "early_stopping": True, "n_iter_no_change": 5, "max_iter": 30, "random_state": 0}
classifier = ConvNetClassifier(learning_rate="constant", **options).fit(X, y)
TrainingCurvesDisplay.from_estimator(classifier)

# %%
# The network has the weights of the epoch with the best validation score:
print(f"{classifier.n_iter_} epochs, best validation score {classifier.best_validation_score_:.4f}")

# %%
# With the default, ``learning_rate="one-cycle"``, the rate rises and falls to zero at `max_iter`.
TrainingCurvesDisplay.from_estimator(ConvNetClassifier(K=8, N=1, max_iter=15, random_state=0).fit(X, y))
plt.show()
