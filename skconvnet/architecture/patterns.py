"""The examples of the CS231n notes, section "Layer Patterns", by name."""

PATTERNS = {
    "linear": "INPUT -> FC",
    "simple": "INPUT -> CONV -> RELU -> POOL -> FC",
    "conv": "INPUT -> CONV -> RELU -> FC",
    "single-conv": "INPUT -> [CONV -> RELU -> POOL]*2 -> FC -> RELU -> FC",
    "double-conv": "INPUT -> [CONV -> RELU -> CONV -> RELU -> POOL]*3 -> [FC -> RELU]*2 -> FC",
    "pattern": "INPUT -> [[CONV -> RELU]*N -> POOL?]*M -> [FC -> RELU]*K -> FC",
}
