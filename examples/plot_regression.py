"""Predict numbers
===============

`ConvNetRegressor` predicts one or several numbers for each image: here the place of a bright spot in a noisy image.
"""

import matplotlib.pyplot as plt
import numpy as np

from skconvnet import ConvNetRegressor

rng = np.random.default_rng(0)
places = rng.uniform(2, 13, (1000, 2))  # row and column
rows, columns = np.mgrid[:16, :16]
distances = (rows - places[:, 0, None, None]) ** 2 + (columns - places[:, 1, None, None]) ** 2
images = np.exp(-distances / 4) + rng.normal(0, 0.2, distances.shape)

regressor = ConvNetRegressor(K=8, N=1, max_iter=15, random_state=0).fit(images[:800], places[:800])
print(f"R2: {regressor.score(images[800:], places[800:]):.4f}")

# %%
# Where the spots are (o), and where the network finds them (x):
found = regressor.predict(images[800:])
figure, axes = plt.subplots(1, 4, figsize=(9, 2.4), layout="constrained")
for ax, image, (row, column), (found_row, found_column) in zip(axes, images[800:], places[800:], found, strict=False):
    ax.imshow(image, cmap="gray")
    ax.plot(column, row, "o", fillstyle="none", color="tab:orange", markersize=12)
    ax.plot(found_column, found_row, "x", color="tab:cyan")
    ax.set_axis_off()

# %%
# All images of the test:
figure, axes = plt.subplots(1, 2, figsize=(7, 3.4), layout="constrained")
for ax, name, real, predicted in zip(axes, ("row", "column"), places[800:].T, found.T, strict=True):
    ax.scatter(real, predicted, s=6)
    ax.axline((0, 0), slope=1, color="0.6", linewidth=1)
    ax.set(xlabel=f"{name}", ylabel=f"{name}, predicted", aspect="equal")
plt.show()
