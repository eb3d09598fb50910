"""Look at augmented images
========================

`augment` changes the training images at random. Look at them before a fit: a person should still see the class.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from skconvnet.inspection import AugmentationDisplay

X, _ = load_digits(return_X_y=True)

# %%
# Rotated, scaled and shifted by a pixel; each row begins with the image itself:
AugmentationDisplay.from_images(X[:4], ["rotate(15)", "scale(0.1)", "crop(1)"], random_state=0)

# %%
# Tones, noise and a covered square:
AugmentationDisplay.from_images(X[:4], ["brightness(0.5)", "contrast(0.5)", "noise(0.3)", "cutout(3)"], random_state=0)
plt.show()
