"""The version of the package: fitted networks name it in their pickles."""

__version__ = "0.1.0"
