"""What importing the package costs and shows."""

import subprocess
import sys


def imported_modules(statement):
    """The top-level names of the modules that a fresh process has after `statement`."""
    command = [sys.executable, "-c", f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_does_not_import_numba():
    modules = imported_modules("import skconvnet")
    assert "skconvnet" in modules
    assert not modules & {"numba", "llvmlite", "torch", "PIL"}


def test_checking_a_grid_does_not_import_numba():
    call = (
        "valid_param_grid(ConvNetClassifier(), {'F': [3]}, (8, 8), 10, max_params=1e9, max_memory=1e9, max_flops=1e9)"
    )
    modules = imported_modules(f"from skconvnet import *; {call}")
    assert "skconvnet" in modules
    assert not modules & {"numba", "llvmlite"}


def test_every_public_name_is_there():
    import skconvnet

    names = {"ARCHITECTURES", "Architecture", "ArchitectureError", "ConvNetClassifier", "load_image_folder"}
    assert names | {"valid_param_grid"} <= set(skconvnet.__all__)
    assert all(hasattr(skconvnet, name) for name in skconvnet.__all__)
