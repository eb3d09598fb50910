"""Classify digits
===============

Fit a convolutional network on images of 8x8 pixels, look at its network, and at the images that it gets wrong.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split

from skconvnet import ConvNetClassifier
from skconvnet.inspection import ArchitectureDisplay

X, y = load_digits(return_X_y=True)  # rows of 64 pixels, read as 8 x 8 images
X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)

classifier = ConvNetClassifier(K=16, max_iter=10, random_state=0).fit(X_train, y_train)
print(f"accuracy: {classifier.score(X_test, y_test):.4f}")

# %%
# The network was chosen for the size of the images. Each box is a volume, from the image to the scores of the classes.
ArchitectureDisplay.from_estimator(classifier)

# %%
# The same as a table, with parameters and memory:
print(classifier.architecture_.summary())

# %%
# Which digits are taken for which:
labels = classifier.predict(X_test)
ConfusionMatrixDisplay.from_predictions(y_test, labels, colorbar=False)

# %%
# The five images whose label has the lowest probability:
probabilities = classifier.predict_proba(X_test)[range(len(y_test)), y_test]
figure, axes = plt.subplots(1, 5, figsize=(8, 2), layout="constrained")
for ax, image in zip(axes, probabilities.argsort(), strict=False):
    ax.imshow(X_test[image].reshape(8, 8), cmap="gray_r")
    ax.set_title(f"{y_test[image]}, as {labels[image]}")
    ax.set_axis_off()
plt.show()
