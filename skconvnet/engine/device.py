"""Devices: the machines that can run a plan, and how many threads they may use.

This is the one place that knows them all. A network is given a device, which says what plans must know of it (its
target) and makes executions of them.
"""

import os
import sys
from dataclasses import dataclass, replace
from functools import cache

import joblib

from skconvnet._system import machine_memory
from skconvnet.engine.cpu.execution import Execution, OneImage
from skconvnet.engine.program.target import CPU, GPU, Target

__all__ = ["CpuDevice", "CudaDevice", "check_device", "device_for_scoring", "device_for_training", "thread_count"]

# Multiply-adds from which "auto" takes a GPU. Training: some ten seconds of a processor with few cores, while a GPU
# starts in one or two. Scoring: of one image, so that the choice does not depend on the other images. (On a
# GPU the last bits of scores may: sums are cut by the number of images.)
_TRAINING_WORK = 5e12
_IMAGE_WORK = 1e8

_BESIDE = 1 << 27  # bytes of tables, of two buffers of images, and between kernels
_OLDEST_GPU = (7, 5)  # compute capability: Turing, 2018
_NEWEST_GPU = (12, 1)  # the last that the compiler knows, NVVM of CUDA 13.0
_OLDEST_DRIVER = (13, 0)  # the version of CUDA that it is for
_INSTALL = "pip install 'numba-cuda[cu13]>=0.30,<0.31' 'cuda-core>=1.2,<2' 'cuda-toolkit[nvvm]==13.0.*'"
_NEEDED_DRIVER = "version 580 or newer, which is for CUDA {}.{}".format(*_OLDEST_DRIVER)
_OLDEST_TF32 = (8, 0)  # compute capability of the first tensor cores that multiply TF32: Ampere, 2020


@dataclass(frozen=True)
class CpuDevice:
    """The processor, with kernels that Numba compiles.

    Parameters
    ----------
    target : Target, default=CPU
        What a plan must know of it.
    """

    target: Target = CPU

    name = "this machine"
    batch_pixels = 1 << 21  # of the images that are scored at a time
    max_idle = 8  # executions of one kind that a scorer keeps for the next call,
    max_idle_memory = 1 << 19  # and the most float32 of memory that each may hold,
    max_memory_for_one = 1 << 22  # also for one image

    def memory(self):
        """Return the bytes of memory that this process may use."""
        return machine_memory()

    def has_room(self, n_bytes):
        """Return True: the system makes room, up to what it has."""
        return True

    def is_lost(self):
        """Return False: a forked child has it too."""
        return False

    def targets(self, batch_size):
        """Return the targets to plan for, of which the first that fits into the memory is taken."""
        return [self.target]

    def execution(self, plan, network, n_workers, moments=None):
        """Allocate memory for a plan and return what runs it.

        Parameters
        ----------
        plan : Plan
        network : Network
            Its parameters are read, and in training written.
        n_workers : int
            Threads to use.
        moments : ndarray of float32, shape (2, n_parameters), optional
            The optimizer's; written by an update.

        Returns
        -------
        Execution
        """
        return Execution(plan, network, n_workers, moments)

    def one_image(self, plan, network, n_workers):
        """Return what scores one image after another.

        Parameters
        ----------
        plan, network, n_workers
            As for `execution`.

        Returns
        -------
        OneImage
        """
        return OneImage(plan, network, n_workers)


@dataclass(frozen=True)
class CudaDevice:
    """An NVIDIA GPU, with kernels that Numba compiles to PTX.

    Parameters
    ----------
    driver : Driver
        What reaches it.
    target : Target, default=GPU
        What a plan must know of it.
    float32_precision : {"ieee", "tf32x3"}, default="ieee"
        How matrices are multiplied, as `ConvNetClassifier` has it. GPUs before Ampere know "ieee" only.
    """

    driver: object
    target: Target = GPU
    float32_precision: str = "ieee"

    batch_pixels = 1 << 24  # see `CpuDevice`; larger batches fill a GPU
    max_idle = 1
    max_idle_memory = 1 << 26
    max_memory_for_one = 0  # it has no faster way for one image

    @property
    def name(self):
        """What errors call it."""
        return f"the GPU {self.driver.name}"

    def memory(self):
        """Return the bytes of its memory, of which other processes may use a part."""
        return self.driver.memory()[1]

    def free_memory(self):
        """Return the bytes of its memory that are free."""
        return self.driver.memory()[0]

    def is_lost(self):
        """Return whether this is a forked child, which cannot use the GPU of its parent."""
        return bool(_process_of_gpu) and _process_of_gpu != [os.getpid()]

    def has_room(self, n_bytes):
        """Return whether so many bytes of its memory are free, beside what an execution needs in any case."""
        return n_bytes + _BESIDE <= self.free_memory()

    def targets(self, batch_size):
        """Return the targets to plan for, of which the first that fits into the memory is taken.

        The first takes the whole minibatch through an instruction at once. The others take shards of it one after the
        other: with half as many samples each, they need about half the memory, and are slower.
        """
        powers = range(1, max(1, batch_size - 1).bit_length() + 1)
        return [self.target, *(replace(self.target, runs_in_step=False, max_shards=2**power) for power in powers)]

    def execution(self, plan, network, n_workers, moments=None):
        """Allocate memory for a plan and return what runs it; `n_workers` does not matter. See `CpuDevice`.

        Several processes of a search may share the GPU. Where one of them has no memory, it waits for the others.

        Raises
        ------
        MemoryError
            If the memory is not free after a minute.
        """
        from skconvnet.engine.cuda.arrays import when_free
        from skconvnet.engine.cuda.execution import Execution

        precision = self.float32_precision if self.driver.compute_capability >= _OLDEST_TF32 else "ieee"
        return when_free(lambda: Execution(self.driver, plan, network, moments, precision))


def check_device(name):
    """Raise a ValueError if the estimator's ``device`` is not available.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda"}
    """
    if name == "cuda":
        _gpu()


def device_for_training(name, work, float32_precision="ieee"):
    """Return the device on which to train.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda"}
        The estimator's ``device``. "auto" takes a GPU if there is one and the work is worth it.
    work : float
        Multiply-adds of the training.
    float32_precision : {"ieee", "tf32x3"}, default="ieee"
        The estimator's. The processor always computes as "ieee" says.

    Returns
    -------
    CpuDevice or CudaDevice

    Raises
    ------
    ValueError
        If the device is not available.
    """
    _check_names(name, float32_precision)
    if name == "cuda":
        return _multiplying(_gpu(), float32_precision)
    wants_gpu = name == "auto" and work >= _TRAINING_WORK
    return _multiplying(_gpu_if_any(), float32_precision) if wants_gpu else CpuDevice()


def device_for_scoring(name, image_work=0, float32_precision="ieee"):
    """Return the device on which to score. Without a GPU that is the processor, also for a model fitted on a GPU.

    Parameters
    ----------
    name : {"auto", "cpu", "cuda"}
        The estimator's ``device``.
    image_work : float
        Multiply-adds of one image.
    float32_precision : {"ieee", "tf32x3"}, default="ieee"
        As `device_for_training` takes it.

    Returns
    -------
    CpuDevice or CudaDevice

    Raises
    ------
    ValueError
        If there is no device or precision of this name.
    """
    _check_names(name, float32_precision)
    wants_gpu = name == "cuda" or (name == "auto" and image_work >= _IMAGE_WORK)
    return _multiplying(_gpu_if_any(), float32_precision) if wants_gpu else CpuDevice()


def _check_names(name, float32_precision):
    """Raise a ValueError for names that there are not; a parameter may be set after fit has checked it."""
    for parameter, value, names, hint in (
        ("device", name, ("auto", "cpu", "cuda"), " Among several GPUs, CUDA_VISIBLE_DEVICES chooses."),
        ("float32_precision", float32_precision, ("ieee", "tf32x3"), ""),
    ):
        if value not in names:
            raise ValueError(
                f"{parameter}={value!r} does not exist. Choose one of {', '.join(map(repr, names))}.{hint}"
            )


def _multiplying(device, float32_precision):
    """Return the device with this precision, which a processor does not have."""
    is_same = isinstance(device, CpuDevice) or device.float32_precision == float32_precision
    return device if is_same else replace(device, float32_precision=float32_precision)


def _gpu_if_any():
    try:
        return _gpu()
    except ValueError:
        return CpuDevice()


def _gpu():
    """Return the GPU of this process, or raise a ValueError that says why there is none."""
    if _process_of_gpu and _process_of_gpu != [os.getpid()]:
        raise ValueError(
            "This process was forked after its parent had used the GPU, which CUDA does not allow. Use another way to "
            "start processes, such as joblib's loky or multiprocessing's spawn, or device='cpu'."
        )
    return _find_gpu()


_process_of_gpu = []  # the process that has used a GPU; a forked child inherits it


@cache
def _find_gpu():
    try:
        from skconvnet.engine.cuda import driver
    except ImportError as error:
        raise ValueError(
            f"device='cuda' needs packages that are not installed ({error}). Install them with "
            f"{_INSTALL}, or use device='cpu'."
        ) from error
    n_devices, version = driver.count_devices(), driver.driver_version()
    if version == (0, 0):
        raise ValueError(
            f"device='cuda' finds no NVIDIA driver. Where there is a GPU, install {_NEEDED_DRIVER}. Otherwise use "
            "device='cpu' or device='auto'."
        )
    if n_devices == 0:
        raise ValueError(
            "device='cuda' finds no NVIDIA GPU. nvidia-smi shows whether the system has a driver and a GPU; "
            "CUDA_VISIBLE_DEVICES may hide one. Use device='cpu' or device='auto' without a GPU."
        )
    if version < _OLDEST_DRIVER:
        raise ValueError(
            "The NVIDIA driver is for CUDA {}.{}, and device='cuda' needs {}. Update the driver, or use "
            "device='cpu'.".format(*version, _NEEDED_DRIVER)
        )
    try:
        gpu = driver.Driver()
    except (MemoryError, RuntimeError) as error:
        raise ValueError(
            f"The NVIDIA GPU cannot be used ({error}). Another process may have it for itself, or fill its memory: see "
            "nvidia-smi. Wait for it, or use device='cpu'."
        ) from error
    if gpu.compute_capability < _OLDEST_GPU:
        raise ValueError(
            "The GPU {} has compute capability {}.{}, and device='cuda' needs {}.{} or newer. Use device='cpu'.".format(
                gpu.name, *gpu.compute_capability, *_OLDEST_GPU
            )
        )
    if gpu.compute_capability > _NEWEST_GPU:
        raise ValueError(
            "The GPU {} has compute capability {}.{}, and device='cuda' knows those up to {}.{}. Update skconvnet, or "
            "use device='cpu'.".format(gpu.name, *gpu.compute_capability, *_NEWEST_GPU)
        )
    _process_of_gpu.append(os.getpid())
    return CudaDevice(gpu)


def thread_count(n_jobs=None):
    """Return the number of threads that `n_jobs` stands for here.

    Parameters
    ----------
    n_jobs : int or None
        As scikit-learn understands it. None stands for every processor that this process may use (a container may have
        fewer than its machine), but for 1 inside a joblib worker or a Dask task. A negative number counts back from all
        processors.

    Returns
    -------
    int
        At least 1, at most the threads that Numba was started with; 1 in a forked child, which has no other threads.
    """
    threads = _threads()
    if threads.are_lost():
        return 1
    limit = threads.most_threads()
    if n_jobs == 0:
        raise ValueError("n_jobs=0 is no number of threads. Use 1 or more, or None or -1 for all processors.")
    if n_jobs is not None:
        # Joblib's Dask backend answers with the processors of the cluster, whatever is asked.
        most = min(limit, n_jobs) if n_jobs > 0 else limit
        return max(1, min(most, joblib.effective_n_jobs(n_jobs)))
    inside_joblib_worker = joblib.parallel.get_active_backend()[0].nesting_level not in (0, None)
    return 1 if inside_joblib_worker or _inside_dask_task() else min(limit, _processors())


def _processors():
    """Return how many processors this process may use.

    Joblib looks this up in files, which takes twice as long as a small network's scores of one image. So its answer is
    kept as long as everything that can change it in a running process stays the same.
    """
    allowed = frozenset(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return _counted(allowed, os.environ.get("LOKY_MAX_CPU_COUNT"))


@cache
def _counted(allowed, limit):
    """Ask joblib once for each combination of what its answer depends on."""
    return joblib.cpu_count()


def _inside_dask_task():
    """Return whether this Python thread runs a Dask task beside others; joblib does not say."""
    worker = sys.modules.get("distributed.worker")
    return worker is not None and hasattr(worker.thread_state, "execution_state")


def _threads():
    """Import Numba and start its threads when they are first needed; this compiles nothing."""
    from skconvnet.engine.cpu import threads

    return threads
