"""Constraints on the parameters of the estimators."""

from sklearn.utils._param_validation import Interval


class Numbers(Interval):
    """An interval of numbers for a table of parameter constraints. True is no number."""

    def is_satisfied_by(self, value):
        """Return whether the value is a number of the interval."""
        return not isinstance(value, bool) and super().is_satisfied_by(value)
