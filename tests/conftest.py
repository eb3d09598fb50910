"""Settings that every test shares."""

from hypothesis import settings

# Kernels compile on first use, so the time of one example says nothing.
settings.register_profile("skconvnet", deadline=None, max_examples=30, derandomize=True)
settings.load_profile("skconvnet")
