"""Mutants of the kernels: one thing in the source of a module is changed, and the module's tests must fail.

    python -m tests.engine.cuda.mutants pooling               the mutants of kernels/pooling.py, and which survive
    python -m tests.engine.cuda.mutants --every 9             of all modules, one mutant in nine

`tests/engine/cuda/test_mutants.py` takes a sample of them, and adds faults that are typical of kernels.
"""

import ast
import importlib
from argparse import ArgumentParser
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

from numba.core.errors import NumbaError

from skconvnet.engine.cuda import compiler, dispatch
from tests.engine.cuda import executor
from tests.engine.cuda.ptx import execute

__all__ = ["CHECKS", "Mutant", "is_noticed", "mutants", "planted", "unchanged"]

KERNELS = "skconvnet.engine.cuda.kernels"
TESTS = "tests.engine.cuda.kernels"

# The tests that notice, by module, the quickest first.
CHECKS = {
    "activations": [
        "test_relu",
        "test_bias_relu_backward",
        "test_squash_leaves_padding_zero",
        "test_squash_backward",
        "test_dropout_drops_what_the_hash_says_and_divides_the_rest",
        "test_the_limits_of_tanh_and_sigmoid",
        "test_tanh_of_every_size",
    ],
    "branches": [
        "test_add",
        "test_copy_channels_from_any_channel_to_any_channel",
        "test_copy_quads_of_channels",
    ],
    "images": [
        "test_the_images_of_a_minibatch_are_standardised_to_the_bit",
        "test_each_image_has_its_warp",
    ],
    "memory": ["test_clear_border", "test_clear"],
    "pooling": ["test_max_pool_and_its_gradient", "test_average_pool", "test_the_gradient_of_average_pool"],
}

_OTHERS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
_OTHER_NAMES = {"min": "max", "max": "min", "rows": "columns", "columns": "rows", "x_row": "y_row", "block": "chunk"}


@dataclass(frozen=True)
class Mutant:
    """A module of kernels with one change.

    Attributes
    ----------
    module : str
        Its name: "pooling".
    source : str
        The mutated source.
    says : str
        Where the change is, and what it is.
    """

    module: str
    source: str
    says: str


def mutants(module, every=1):
    """Return the mutants of a module of kernels, in the order of its lines, or one in `every` of them."""
    source = unchanged(module).source
    n_changes = len(list(_changes(ast.parse(source))))
    return [_mutant(module, source, number) for number in range(every - 1, n_changes, every)]


def planted(module, old, new):
    """Return the mutant in which the first `old` in the source is `new`."""
    source = unchanged(module).source
    if old not in source:
        raise ValueError(f"{module}.py does not have the text {old!r}: adapt the mutant to the new source.")
    return Mutant(module, source.replace(old, new, 1), f"{module}.py: {old} -> {new}")


def unchanged(module):
    """Return the module itself in the form of a mutant, which no test must notice."""
    path = Path(importlib.import_module(f"{KERNELS}.{module}").__file__)
    return Mutant(module, path.read_text(), "unchanged")


def _mutant(module, source, number):
    tree = ast.parse(source)
    line, change = list(_changes(tree))[number]
    before = source.splitlines()[line - 1].strip()
    said = change()
    return Mutant(module, ast.unparse(tree), f"{module}.py:{line}: {said} in: {before}")


def _changes(tree):
    """Yield the line of each change and the function that makes it in the tree and says what it does."""
    for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
        for node in (inner for statement in function.body for inner in ast.walk(statement)):
            if not _is_docstring(node):
                yield from ((node.lineno, change) for change in _changes_of(node))


def _is_docstring(node):
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _changes_of(node):
    """Yield the changes of one node."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            if type(operator) in _OTHERS:
                yield partial(_replace_comparison, node, place)
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in _OTHERS:
        yield partial(_replace, node, "op", _OTHERS[type(node.op)]())
    if isinstance(node, ast.If):
        yield partial(_replace, node, "test", ast.Constant(True))
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield partial(_replace, node, "value", node.value + 1)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        yield partial(_replace, node, "value", ast.Constant(None))
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in _OTHER_NAMES:
        yield partial(_replace, node, "id", _OTHER_NAMES[node.id])


def _replace_comparison(node, place):
    before = ast.unparse(node)
    node.ops[place] = _OTHERS[type(node.ops[place])]()
    return f"{before} -> {ast.unparse(node)}"


def _replace(node, name, new):
    before = ast.unparse(node).splitlines()[0]
    setattr(node, name, new)
    return f"{before} -> {ast.unparse(ast.fix_missing_locations(node)).splitlines()[0]}"


@contextmanager
def _in_place(mutant):
    """The mutant's lowerings take the place of the module's; its kernels are not cached on disk."""
    module = ModuleType(f"{KERNELS}.{mutant.module}")
    with patch.object(compiler, "KERNELS", {}):
        exec(compile(mutant.source, f"<{mutant.says}>", "exec"), module.__dict__)
    lowerings = {
        op: getattr(module, lower.__name__)
        for op, lower in dispatch.LOWERINGS.items()
        if lower.__module__ == module.__name__
    }
    with patch.dict(dispatch.LOWERINGS, lowerings), patch.object(executor, "ptx", cache(_compiled)):
        yield


def _compiled(kernel, compute_capability):
    """PTX that is not cached on disk."""
    return compiler._compile(kernel, kernel.name, compute_capability, None)


def is_noticed(mutant):
    """Whether a test of the module fails with the mutant in its place; None if the mutant cannot be compiled."""
    tests, noticed = importlib.import_module(f"{TESTS}.test_{mutant.module}"), False
    with _in_place(mutant):
        for name in CHECKS[mutant.module]:
            try:
                getattr(tests, name)()
            except* NumbaError:
                noticed = None
            except* Exception:
                noticed = True
            if noticed is not False:
                break
    execute.load.cache_clear()  # it keeps what it has read
    return noticed


def main(modules, every=1):
    """Print the mutants of modules that no test notices, and how many there are."""
    importlib.import_module("tests.conftest")  # Hypothesis' settings
    for module in modules:
        assert is_noticed(unchanged(module)) is False
        counts = {True: 0, False: 0, None: 0}
        for mutant in mutants(module, every):
            counts[noticed := is_noticed(mutant)] += 1
            if noticed is False:
                print(mutant.says, flush=True)
        share = counts[True] / (counts[True] + counts[False])
        print(f"{module}: {share:.1%} noticed, {counts[False]} survive, {counts[None]} do not compile", flush=True)


if __name__ == "__main__":
    parser = ArgumentParser()
    parser.add_argument("modules", nargs="*", default=list(CHECKS))
    parser.add_argument("--every", type=int, default=1)
    main(**vars(parser.parse_args()))
