"""Choosing parameters: the combinations of a grid that fit the images, and a range test of learning rates."""

from skconvnet.model_selection.grid import ParamGrid, valid_param_grid
from skconvnet.model_selection.learning_rate import LearningRateCurve, find_learning_rate

__all__ = ["LearningRateCurve", "ParamGrid", "find_learning_rate", "valid_param_grid"]
