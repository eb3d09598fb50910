"""The driver of NVIDIA's GPUs: what can be told without one."""

import inspect

import pytest

pytest.importorskip("numba_cuda", reason="needs the extra skconvnet[cuda]")
pytest.importorskip("cuda.core", reason="needs the extra skconvnet[cuda]")

from skconvnet.engine.cuda import driver
from skconvnet.engine.cuda.compiler import ptx
from skconvnet.engine.cuda.kernels.activations import relu
from tests.engine.cuda.executor import PtxDriver


def public(kind):
    return {name: value for name, value in inspect.getmembers(kind) if not name.startswith("_")}


def test_the_imitated_driver_has_the_same_methods():
    methods = {name for name in public(driver.Driver) if name != "name"}
    imitated = PtxDriver()
    assert methods <= public(imitated).keys() | {"load"}
    for name in methods - {"load"}:
        ours = [p.name for p in inspect.signature(getattr(driver.Driver, name)).parameters.values()][1:]
        assert ours == [p.name for p in inspect.signature(getattr(imitated, name)).parameters.values()], name


def test_devices_are_counted_also_where_there_is_no_driver():
    n_devices, version = driver.count_devices(), driver.driver_version()
    assert n_devices >= 0
    assert version == (0, 0) or n_devices >= 0
    assert len(version) == 2


@pytest.mark.parametrize("cc", [(7, 5), (9, 0), (12, 0)])
def test_ptx_is_assembled_for_an_architecture(cc):
    code = driver._assemble(ptx(relu, cc), "sm_{}{}".format(*cc))
    assert code[:4] == b"\x7fELF"
