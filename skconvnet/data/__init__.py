"""What a user passes to an estimator, checked and converted: images, labels and weights."""
