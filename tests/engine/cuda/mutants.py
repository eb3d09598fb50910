"""Mutants of the kernels: one thing in the source is changed, and a test of the kernel must fail.

    python -m tests.engine.cuda.mutants                          a sample of 20 mutants of each module
    python -m tests.engine.cuda.mutants pooling --number 50      50 of kernels/pooling.py; --number 0 takes all
    python -m tests.engine.cuda.mutants --kernel max_pool        only those of functions with this in their name

Changed are comparisons, arithmetic, constants, guards, the order of operands, strides and sizes (each for one of the
same kind), barriers, stores, launches and steps of loops, in kernels, in what is inlined into them and in lowerings. A
mutant lives in memory alone: its kernels are compiled apart, and its lowerings lend their code to the functions that
the tests have imported. Only the tests that launch a kernel which the change can reach are run, the quickest first.

A mutant is `noticed`, `survived`, `not compiled`, or `the same`: its machine code is that of the kernel itself. What
survives and can be told from the kernel by no test is explained in `explained.py`.
"""

import ast
import importlib
import importlib.util
import itertools
import random
import re
import signal
import sys
import time
from argparse import ArgumentParser
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import FunctionType, ModuleType
from typing import NamedTuple
from unittest.mock import patch

import pytest

from skconvnet.engine.cuda import compiler
from skconvnet.engine.cuda.compiler import Kernel
from tests.engine.cuda.executor import PtxDriver
from tests.engine.cuda.explained import reason
from tests.engine.cuda.kernels import harness
from tests.engine.cuda.ptx import execute, machine_code

__all__ = ["MODULES", "Mutant", "judge", "mutants", "planted", "unchanged"]

_CUDA = "skconvnet.engine.cuda"
_TESTS = "tests.engine.cuda"


class Module(NamedTuple):
    """Where a module of mutants is.

    Attributes
    ----------
    name : str
        Of the module that is changed.
    users : tuple of str
        Modules that are made again with the changed one, in the order of their imports.
    tests : tuple of str
        Modules of tests.
    cases : str
        A pattern of the tests, with their arguments, that are run: not all tiles of CONTRACT, whose code is the same.
    """

    name: str
    users: tuple[str, ...]
    tests: tuple[str, ...]
    cases: str = ""


def _of_kernels(name):
    return Module(f"{_CUDA}.kernels.{name}", (), (f"{_TESTS}.kernels.test_{name}", f"{_TESTS}.test_lowering"))


MODULES = {
    name: _of_kernels(name)
    for name in "activations branches images loss memory normalisation optimizer pooling".split()
}
_CONVOLUTION = f"{_CUDA}.kernels.convolution"
_OF_CONVOLUTION = (f"{_TESTS}.kernels.test_convolution",)
_ONE_TILE = r"32x128|one sample, ieee|groups, ieee|test_(?!contractions|kernels)"
MODULES["convolution"] = Module(_CONVOLUTION, (), _OF_CONVOLUTION, _ONE_TILE)
MODULES["contraction"] = Module(f"{_CUDA}.contraction", (), (f"{_TESTS}.test_contraction", *_OF_CONVOLUTION), _ONE_TILE)
for _name in ("tile", "products"):
    MODULES[_name] = Module(f"{_CUDA}.llvm.{_name}", (_CONVOLUTION,), _OF_CONVOLUTION, _ONE_TILE)
MODULES["sums"] = Module(f"{_CUDA}.llvm.sums", (MODULES["normalisation"].name,), MODULES["normalisation"].tests)


@dataclass(frozen=True)
class Mutant:
    """A module with one change.

    Attributes
    ----------
    module : str
        A key of `MODULES`.
    function : str
        The function at the top of the module that has the change.
    source : str
        The mutated source.
    says : str
        What the change is.
    """

    module: str
    function: str
    source: str
    says: str


# -- Changes -----------------------------------------------------------------------------------------------------------

_COMPARISONS = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
}
_OPERATORS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.RShift: ast.LShift,
    ast.And: ast.Or,
    ast.Or: ast.And,
}
_PAIRS = "rows columns, rows_out columns_out, F_rows F_columns, top left, bottom right, block chunk, block block_y,"
_PAIRS += " min max, J M, R K"
# Of two pairs with the same name, the last counts whose names are both known.
_PARTNERS = [names for pair in _PAIRS.split(", ") for names in itertools.permutations(pair.split())]
_CALLED = "block", "chunk", "min", "max"  # whether or not the function calls them
_KINDS = re.compile(r"\w+(_row|_sample|_depth)|[abc](_)\w{1,2}")  # parameters that differ in what they belong to


def mutants(module, function=""):
    """Return the mutants of a module's functions that have `function` in their name, in the order of its lines."""
    source = _source(module)
    n_changes = len(list(_changes(ast.parse(source), function)))
    return [_mutant(module, source, function, number) for number in range(n_changes)]


def planted(module, function, old, new):
    """Return the mutant in which the first `old` in the source of a function is `new`."""
    source = _source(module)
    node = next(node for node in ast.parse(source).body if getattr(node, "name", "") == function)
    lines = source.splitlines(keepends=True)
    before, own, after = (
        "".join(part) for part in (lines[: node.lineno], lines[node.lineno : node.end_lineno], lines[node.end_lineno :])
    )
    if old not in own:
        raise ValueError(
            f"{function} of {module}.py does not have the text {old!r}: adapt the mutant to the new source."
        )
    return Mutant(module, function, before + own.replace(old, new, 1) + after, f"{module}.{function}: {old} -> {new}")


def unchanged(module):
    """Return the module itself in the form of a mutant, which no test must notice."""
    return Mutant(module, "", _source(module), f"{module}: unchanged")


@cache
def _source(module):
    return Path(importlib.import_module(MODULES[module].name).__file__).read_text()


def _mutant(module, source, function, number):
    tree = ast.parse(source)
    function, node, change = next(itertools.islice(_changes(tree, function), number, None))
    line = source.splitlines()[node.lineno - 1].strip()
    said = change()
    return Mutant(
        module, function, ast.unparse(ast.fix_missing_locations(tree)), f"{module}.{function}: {said} in: {line}"
    )


def _changes(tree, among):
    """Yield the function at the top, the node of each change, and what makes the change and says what it is."""
    for top in tree.body:
        is_among = isinstance(top, ast.FunctionDef | ast.ClassDef) and among in top.name
        if is_among and top.name != "Tile":  # whose properties are names
            for function in (node for node in ast.walk(top) if isinstance(node, ast.FunctionDef)):
                partners = _partners(function)
                for statement in function.body:
                    yield from ((top.name, node, change) for node, change in _changes_below(statement, partners))


def _partners(function):
    """The names that can be in each other's place: pairs of names that there are, and the parameters of each kind."""
    known = {node.id for node in ast.walk(function) if isinstance(node, ast.Name)}
    known |= {node.value for node in ast.walk(function) if isinstance(node, ast.Constant)} | set(_CALLED)
    known |= {parameter.arg for parameter in function.args.args}
    kinds = {}
    for parameter in (*function.args.args, *function.args.kwonlyargs):
        if found := _KINDS.fullmatch(parameter.arg):
            kind = found[1] or parameter.arg[0]
            kinds.setdefault(kind, []).append(parameter.arg)
    next_ones = [zip(names, [*names[1:], names[0]], strict=True) for names in kinds.values() if len(names) > 1]
    return {a: b for a, b in _PARTNERS if {a, b} <= known} | dict(itertools.chain(*next_ones))


def _changes_below(node, partners):
    """Yield the changes of a node and of what it consists of; not of docstrings, errors, or functions within."""
    if isinstance(node, ast.Raise | ast.FunctionDef) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    ):
        return
    yield from ((node, change) for change in _changes_of(node, partners))
    for child in ast.iter_child_nodes(node):
        yield from _changes_below(child, partners)


def _changes_of(node, partners):
    """Yield the changes of one node."""
    change = partial(_change, node)
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                if type(operator) in _COMPARISONS:
                    ops = list(node.ops)
                    ops[place] = _COMPARISONS[type(operator)]()
                    yield partial(change, ops=ops)
        case ast.BinOp() | ast.BoolOp() if type(node.op) in _OPERATORS:
            yield partial(change, op=_OPERATORS[type(node.op)]())
            if isinstance(node.op, ast.Sub | ast.Div):
                yield partial(change, left=node.right, right=node.left)
        case ast.If():
            yield partial(change, test=ast.Constant(True))
        case ast.IfExp():
            yield partial(change, test=ast.Constant(True))
            yield partial(change, test=ast.Constant(False))
        case ast.Constant() if type(node.value) is int:
            yield partial(change, value=node.value + 1)
            if node.value > 0:
                yield partial(change, value=node.value - 1)
        case ast.Constant() if type(node.value) is str and node.value in partners:
            yield partial(change, value=partners[node.value])
        case ast.Expr():  # a store, a barrier, a launch
            yield partial(change, value=ast.Constant(None))
        case ast.AugAssign():
            yield partial(change, value=ast.BinOp(node.value, ast.Mult(), ast.Constant(2)))
            yield partial(change, op=_OPERATORS.get(type(node.op), ast.Add)())
        case ast.Name() if isinstance(node.ctx, ast.Load) and node.id in partners:
            yield partial(change, id=partners[node.id])
        case ast.UnaryOp() if isinstance(node.op, ast.USub):
            yield partial(change, op=ast.UAdd())
        case ast.Call() if isinstance(node.func, ast.Name):
            if node.func.id == "range":
                *rest, last = node.args
                yield partial(change, args=[*rest, ast.BinOp(last, ast.Sub(), ast.Constant(1))])
            if node.func.id in ("where_greater", "where_equal"):
                a, b, x, y = node.args
                yield partial(change, args=[a, b, y, x])


def _change(node, **fields):
    before = ast.unparse(node).splitlines()[0]
    for name, value in fields.items():
        setattr(node, name, value)
    return f"{before} -> {ast.unparse(ast.fix_missing_locations(node)).splitlines()[0]}"


# -- What a change reaches ---------------------------------------------------------------------------------------------


@cache
def _graph(module):
    """The names that each function or other name at the top of a module uses."""
    uses = {}
    for node in ast.parse(_source(module)).body:
        named = {
            inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)
        }
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            uses[node.name] = named
        elif isinstance(node, ast.Assign):
            targets = (inner.id for target in node.targets for inner in ast.walk(target) if isinstance(inner, ast.Name))
            uses |= dict.fromkeys(targets, named)
    return uses


def _closure(name, edges):
    found, new = set(), {name}
    while new:
        found |= new
        new = set().union(*(edges.get(one, set()) for one in new)) - found
    return found


def _users(module, function):
    """The function, and what uses it, directly or not."""
    used_by = {}
    for name, uses in _graph(module).items():
        for one in uses:
            used_by.setdefault(one, set()).add(name)
    return _closure(function, used_by)


def _kernels(module, names):
    """The names of the kernels among some names of a module."""
    module, found = importlib.import_module(MODULES[module].name), set()
    for value in (getattr(module, name, None) for name in names):
        found |= {
            one.name for one in (value.values() if isinstance(value, dict) else [value]) if isinstance(one, Kernel)
        }
    return found


def _changed_kernels(mutant):
    """The names of the kernels that have another machine code."""
    if users := MODULES[mutant.module].users:
        return {name for name, kernel in compiler.KERNELS.items() if kernel.function.__module__ == users[-1]}
    return _kernels(mutant.module, _users(mutant.module, mutant.function))


def _reached_kernels(mutant):
    """The names of the kernels that a change can reach: those of the lowerings that use the function, too."""
    if not MODULES[mutant.module].name.startswith(f"{_CUDA}.kernels"):
        return {name for name in compiler.KERNELS if "contract" in name}
    graph = _graph(mutant.module)
    users = _users(mutant.module, mutant.function)
    return _kernels(mutant.module, set().union(*(_closure(name, graph) for name in users)))


# -- Mutants in place --------------------------------------------------------------------------------------------------

_FUEL = 2**24  # back edges of a launch
_MOST_THREADS = 2**22
_SECONDS = 120


class NotCompiled(Exception):
    """A mutant that is no kernel."""


class _Limited:
    """A program whose launches end, and are small: those of the unchanged kernels are far below the limit.

    It is launched with its own number of threads.
    """

    def __init__(self, program, threads):
        self._program, self._threads = program, threads

    def launch(self, grid, threads, arguments, memory, **settings):
        if grid[0] * grid[1] * grid[2] * self._threads > _MOST_THREADS:
            raise ValueError(f"a grid of {grid}")
        self._program.launch(grid, self._threads, arguments, memory, **settings)


def _made_again(name, source):
    """Execute the source of a module as a new one."""
    module = ModuleType(name)
    exec(compile(source, f"<mutant of {name}>", "exec"), module.__dict__)
    return module


@contextmanager
def _in_place(mutant, programs):
    """The mutant is what tests execute; the kernels that have been compiled for it are added to `programs`."""
    place, kernels = MODULES[mutant.module], {}
    with ExitStack() as stack:
        stack.enter_context(patch.dict(sys.modules))
        stack.enter_context(patch.object(compiler, "KERNELS", kernels))
        try:
            module = sys.modules[place.name] = _made_again(place.name, mutant.source)
            for user in place.users:
                sys.modules[user] = _made_again(user, Path(importlib.util.find_spec(user).origin).read_text())
        except Exception as error:
            raise NotCompiled from error
    changed = _changed_kernels(mutant)

    def load(driver, kernel):
        if kernel.name not in changed:
            return _Limited(execute.load(compiler.ptx(kernel, driver.compute_capability)), kernel.threads)
        if kernel.name not in programs:
            programs[kernel.name] = _program(kernels[kernel.name], driver.compute_capability)
        return programs[kernel.name]

    with (
        patch.object(PtxDriver, "load", load),
        patch.object(harness, "CHOSEN", [PtxDriver(fuel=_FUEL)]),  # not used again: the mutant may leave it in disorder
        patch.object(machine_code, "_keep", lambda *_: None),
        _lent_code(importlib.import_module(place.name), module),
    ):
        yield


def _program(kernel, compute_capability):
    try:
        text = compiler._compile(kernel, kernel.name, compute_capability, "")
        program = _Limited(execute.Program(text), kernel.threads)
    except Exception as error:
        raise NotCompiled from error
    program.text = text
    return program


@contextmanager
def _lent_code(module, mutated):
    """The functions of a module execute the code of their mutants."""
    functions, others = _functions(module), _functions(mutated)
    own = {name: function.__code__ for name, function in functions.items()}
    try:
        for name, function in functions.items():
            function.__code__ = others[name].__code__
        yield
    finally:
        for name, function in functions.items():
            function.__code__ = own[name]


def _functions(module):
    """The functions of a module by name, with the properties and methods of its classes."""
    found = {}
    for name, value in vars(module).items():
        members = vars(value) if isinstance(value, type) else {"": value}
        for of, member in members.items():
            function = member.fget if isinstance(member, property) else member
            if (
                isinstance(function, FunctionType)
                and function.__module__ == module.__name__
                and not function.__closure__
            ):
                found[f"{name}.{of}"] = function
    return found


# -- Tests -------------------------------------------------------------------------------------------------------------


class Case(NamedTuple):
    """A test with its arguments, how long it took, and the kernels that it launched."""

    name: str
    run: partial
    seconds: float
    kernels: set[str]


@cache
def _cases(tests, pattern):
    """Return the cases of a module of tests, which pass without a change."""
    found, load = [], PtxDriver.load
    for name, run in (test for test in _tests(tests) if re.search(pattern, test[0])):
        launched, start = set(), time.perf_counter()

        def note(driver, kernel, launched=launched):
            launched.add(kernel.name)
            return load(driver, kernel)

        with patch.object(PtxDriver, "load", note):
            run()
        found.append(Case(name, run, time.perf_counter() - start, launched))
    return found


def _chosen(mutant):
    """Return the tests that launch a kernel which the change can reach, or none at all; the quickest first."""
    reached = _reached_kernels(mutant)
    module = MODULES[mutant.module]
    cases = itertools.chain(*(_cases(tests, module.cases) for tests in module.tests))
    chosen = [case for case in cases if case.kernels & reached or not case.kernels]
    return [(case.name, case.run) for case in sorted(chosen, key=lambda case: case.seconds)]


def _tests(name):
    """Yield the name of each test with each of its sets of arguments, and what runs it."""
    for of, function in vars(importlib.import_module(name)).items():
        if of.startswith("test_") and "barrier" not in of:  # tests that plant faults themselves
            for arguments in _arguments(function):
                yield f"{of}({', '.join(map(str, arguments.values()))})", partial(function, **arguments)


_MARKED = type(pytest.param())


def _arguments(function):
    """Return all sets of arguments that the marks of a test give."""
    axes = []
    for mark in getattr(function, "pytestmark", []):
        names, values = mark.args
        names = [one.strip() for one in names.split(",")] if isinstance(names, str) else names
        values = [
            pytest.param(value) if len(names) == 1 and not isinstance(value, _MARKED) else value for value in values
        ]
        values = [value.values if isinstance(value, _MARKED) else value for value in values]
        axes.append([dict(zip(names, value, strict=True)) for value in values])
    return [dict(pair for one in each for pair in one.items()) for each in itertools.product(*axes)]


# -- Verdicts ----------------------------------------------------------------------------------------------------------


def judge(mutant, only=""):
    """Run the tests that can notice a mutant until one does.

    Parameters
    ----------
    mutant : Mutant
    only : str
        Run the tests whose names begin with this, whether or not they can notice it; by default choose them.

    Returns
    -------
    verdict : {"noticed", "survived", "not compiled", "the same"}
    by : str
        The test that noticed it, and the error.
    """
    programs = {}
    if only:
        modules = MODULES[mutant.module].tests
        tests = [test for name in modules for test in _tests(name) if test[0].startswith(only)]
    else:
        tests = _chosen(mutant)
    try:
        with _in_place(mutant, programs):
            for name, run in tests:
                try:
                    with _time_limit(_SECONDS):
                        run()
                except NotCompiled:
                    raise
                except (Exception, pytest.fail.Exception) as error:
                    return "noticed", f"{name}: {type(error).__name__}: {str(error).strip().splitlines()[:1]}"
    except NotCompiled as error:
        return "not compiled", repr(error.__cause__)[:100]
    is_same = programs and all(_bare(program.text) == _original(name) for name, program in programs.items())
    return "the same" if is_same else "survived", ""


@cache
def _original(name):
    return _bare(compiler.ptx(compiler.KERNELS[name], (9, 0)))


def _bare(text):
    """PTX without the names that Numba numbers."""
    return re.sub(r"\w*_ZN\w+|_cudapy_smem\w*|//.*", "", text)


@contextmanager
def _time_limit(seconds):
    """Raise a TimeoutError for lowerings that do not end; kernels end by their fuel."""

    def stop(*_):
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def sample(module, number, seed=0, kernel=""):
    """Return `number` mutants of a module, or all for 0, of functions that have `kernel` in their name."""
    drawn = mutants(module, kernel)
    random.Random(f"{module} {seed}").shuffle(drawn)
    return drawn[: number or None]


def main(modules, number, seed, kernel, verbose):
    """Print which mutants no test notices, and how many there are."""
    totals = Counter()
    for module in modules:
        drawn, counts, start = sample(module, number, seed, kernel), Counter(), time.perf_counter()
        for mutant in drawn:
            verdict, by = judge(mutant)
            if verdict == "survived" and reason(mutant):
                verdict = "explained"
            counts[verdict] += 1
            if verbose or verdict == "survived":
                print(f"{verdict}: {mutant.says}  [{by}]", flush=True)
        totals += counts
        print(_summary(module, counts), f"({time.perf_counter() - start:.0f} s)", flush=True)
    print(_summary("all", totals))


def _summary(name, counts):
    told = counts["noticed"] + counts["survived"]
    share = f"{counts['noticed'] / told:.1%}" if told else "none"
    figures = ", ".join(
        f"{counts[verdict]} {verdict}" for verdict in ("noticed", "survived", "explained", "the same", "not compiled")
    )
    return f"{name}: {share} noticed ({figures})"


if __name__ == "__main__":
    importlib.import_module("tests.conftest")  # Hypothesis' settings
    parser = ArgumentParser()
    parser.add_argument("modules", nargs="*", default=list(MODULES))
    parser.add_argument("--kernel", default="")
    parser.add_argument("--number", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--verbose", action="store_true")
    main(**vars(parser.parse_args()))
