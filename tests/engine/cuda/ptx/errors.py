"""The one error of the executor of PTX."""


class PtxError(ValueError):
    """PTX that cannot be read, or a kernel that did on the CPU what it must not do on a GPU."""
