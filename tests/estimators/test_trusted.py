"""The types that a file of a fitted estimator may contain. What files contain is tested in test_persistence.py."""

import importlib

from skconvnet.estimators.trusted import TRUSTED_TYPES


def test_every_name_is_a_class_of_the_package():
    for name in TRUSTED_TYPES:
        module, _, qualname = name.rpartition(".")
        found = getattr(importlib.import_module(module), qualname)
        assert isinstance(found, type)
        assert module.startswith("skconvnet.")
        assert found.__module__ == module
