"""See what a network looks at
============================

The gradient of a score by the pixels, and Grad-CAM: where a layer finds evidence for a class.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from skconvnet import ConvNetClassifier
from skconvnet.inspection import SaliencyDisplay, saliency

X, y = load_digits(return_X_y=True)
text = "INPUT -> CONV(K=16) -> RELU -> CONV(K=16) -> RELU -> POOL -> FC(32) -> RELU -> FC"
classifier = ConvNetClassifier(text, max_iter=8, random_state=0).fit(X[:1500], y[:1500])

# %%
# Each row is an image, with the class that the network predicts. Bright pixels change the score of this class most.
SaliencyDisplay.from_estimator(classifier, X[1500:1503])

# %%
# What speaks for another class? Here, what would make each of the same digits a 9:
SaliencyDisplay.from_estimator(classifier, X[1500:1503], target=9)
plt.show()

# %%
# The numbers themselves have the shape of the images.
print(saliency(classifier, X[1500:1503], target=9).shape)
