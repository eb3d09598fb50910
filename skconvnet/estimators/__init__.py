"""The estimators: parameters, fit and prediction. The work is done in data, architecture, training and engine."""
