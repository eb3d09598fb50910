"""What accuracy costs
====================

Every candidate of a search: its score against the number of parameters, and against the time of a fit.
"""

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV

from skconvnet import ConvNetClassifier, warmup
from skconvnet.inspection import SearchDisplay, search_candidates

X, y = load_digits(return_X_y=True)
warmup()  # so that the time of the first candidate includes no compiling
network = ConvNetClassifier("INPUT -> [CONV -> RELU -> POOL]*2 -> FC", max_iter=10, random_state=0)
search = GridSearchCV(network, {"F": [1, 3, 5], "K": [8, 16, 32]}, cv=2).fit(X, y)

# %%
# No other candidate is better than those on the Pareto front in both score and cost. Filters of F=1 see one pixel each,
# so their networks stay poor.
SearchDisplay.from_search(search)
plt.show()

# %%
# The candidates as a list, the best first:
for candidate in search_candidates(search)[:3]:
    print(f"{candidate.score:.4f}  {candidate.n_params:6,} parameters  {candidate.text}")
