"""Executions: a plan with its memory on a GPU, ready to be run.

What varies from step to step goes up in tables, for many steps at once, and the steps' outcomes come back the same way.
So a step is one graph of launches, whatever its images, weights and learning rate are.
"""

from itertools import count, islice

import numpy as np

from skconvnet.engine.compile_time import counted_as_compiling
from skconvnet.engine.cuda.arrays import DeviceArrays
from skconvnet.engine.cuda.machine import lower_refresh, lower_run, scratch_size, spaces_of
from skconvnet.engine.cuda.pixels import DevicePixels
from skconvnet.engine.program.instructions import Rule, Space, Warp
from skconvnet.engine.program.target import LINE

__all__ = ["Execution"]

_TABLE_BYTES = 1 << 25  # of all tables of steps together
_MOST_STEPS = 1024  # in a table
_MOST_GRAPHS = 8  # that are kept, one for each number of samples
_MACHINE = ("pixels", "targets", "blocks", "moment_1", "moment_2", "indices", "weights", "outcomes", "rules", "draws")


class Execution:
    """A plan with its memory on a GPU, ready to be run many times.

    Only one Python thread at a time may run an execution. Its memory is freed with it.

    Parameters
    ----------
    driver : Driver
        The device.
    plan : Plan
        Its shards are its micro-batches.
    network : Network
        Its parameters are uploaded; training writes them.
    moments : ndarray of float32, shape (2, parameters), optional
        The optimizer's moments; training writes them.
    float32_precision : {"ieee", "tf32x3"}, default="ieee"
        How matrices are multiplied. "tf32x3" needs compute capability 8.0.

    Attributes
    ----------
    n_taken : int
        Training steps that it has taken.

    Raises
    ------
    MemoryError
        If the device has not enough memory.
    """

    def __init__(self, driver, plan, network, moments=None, float32_precision="ieee"):
        self.plan, self.network = plan, network
        self.n_taken = 0
        self._driver, self._moments, self._float32_precision = driver, moments, float32_precision
        self._arrays = DeviceArrays(driver)
        self._pixels = DevicePixels(driver, self._arrays)
        self._targets, self._graphs = None, {}
        self._columns = self._table_columns()
        row = sum(np.dtype(dtype).itemsize * size for dtype, size in self._columns.values())
        self._capacity = max(1, min(_MOST_STEPS, _TABLE_BYTES // row))
        try:
            self._allocate()
            with counted_as_compiling():
                self._load_kernels()
            self.refresh()
        except BaseException:
            self._arrays.free()
            raise

    def _table_columns(self):
        """Return each table's dtype, and how many numbers a step has in it."""
        batch, output = self.plan.batch_size, self.network.architecture.layers[-1].output
        if self.plan.n_outcomes == 0:
            return {"indices": (np.int32, batch), "scores": (np.float32, batch * output.size)}
        return {
            "indices": (np.int32, batch),
            "weights": (np.float64, batch),
            "outcomes": (np.float64, batch * self.plan.n_outcomes),
            "rules": (np.float64, len(Rule)),
            "draws": (np.int64, 2),
            "warps": (np.int32, batch * len(Warp)),
        }

    def _allocate(self):
        """Allocate everything but images and targets."""
        plan, network, arrays = self.plan, self.network, self._arrays
        arrays.allocate("parameters", network.parameters.nbytes)
        memory = arrays.allocate("memory", 4 * plan.memory(1))
        self._driver.clear(memory, 4 * plan.memory(1))  # borders, which no kernel writes, stay zero
        arrays.put("mean", network.mean)
        arrays.put("scale", network.scale)
        arrays.allocate("step", 4)
        if len(plan.blocks):
            arrays.put("blocks", plan.blocks)
        if self._moments is not None:
            arrays.allocate("moment_1", self._moments[0].nbytes)
            arrays.allocate("moment_2", self._moments[1].nbytes)
        for name, (dtype, size) in self._columns.items():
            arrays.allocate(name, self._capacity * size * np.dtype(dtype).itemsize)
        self._spaces = spaces_of(plan, arrays["parameters"], memory)
        self._scratch = 0
        self._reserve_scratch(self._machine(plan.batch_size, is_warped=0))

    def _reserve_scratch(self, machine):
        """Allocate what passes between the kernels of an instruction: fewer samples may need more of it."""
        size = max(LINE, scratch_size(self.plan, self._spaces, machine))
        if size > self._scratch:
            self._driver.synchronize()
            self._graphs.clear()  # they have the old address
            self._scratch = 0  # also where there is no memory for more
            self._arrays.allocate("scratch", 4 * size)
            self._scratch = size

    def _machine(self, n_samples, is_warped):
        """Return what kernels are told besides their instruction, by name."""
        return {
            **dict.fromkeys(_MACHINE, 0),
            **dict.fromkeys(("warps", "scores"), 0),
            **self._arrays.addresses,
            "pixels": self._pixels.address,
            "gradient": self._spaces[Space.SHARD],
            "shared": self._spaces[Space.SHARED],
            "samples": n_samples,
            "n_scores": self.network.architecture.layers[-1].output.size,
            "batch": self.plan.batch_size,
            "is_bytes": self._pixels.is_bytes,
            "is_warped": is_warped,
            "float32_precision": self._float32_precision,
        }

    def _load_kernels(self):
        """Compile the kernels of a whole batch, so that the first step does not wait for them."""
        machine = self._machine(self.plan.batch_size, is_warped=0)
        launches = lower_run(self.plan, self._spaces, machine, self._arrays["scratch"])
        for launch in [*self._lower_refresh(), *launches]:
            self._driver.load(launch.kernel)

    def _lower_refresh(self):
        machine = self._machine(1, is_warped=0)
        return lower_refresh(self.plan, self._spaces, machine, self._arrays["scratch"])

    # Running

    def refresh(self):
        """Upload the network's parameters and the moments, and compute what depends on the parameters alone."""
        self._driver.upload(self._arrays["parameters"], self.network.parameters)
        if self._moments is not None:
            self._driver.upload(self._arrays["moment_1"], self._moments[0])
            self._driver.upload(self._arrays["moment_2"], self._moments[1])
        launches = self._lower_refresh()
        if launches:
            self._driver.record(launches).replay()
            self._driver.synchronize()

    def train(self, images, targets, minibatches):
        """Take training steps, as many at a time as the tables have rows.

        The network's parameters and the moments are downloaded at the end, also where an error or Ctrl-C ends it.

        Parameters
        ----------
        images : Images
            All training images. They are uploaded unless they are those of the call before.
        targets : ndarray, (n, ...)
            Their targets, in the dtype of the loss.
        minibatches : iterable of Minibatch

        Yields
        ------
        ndarray of float64, (samples, outcome columns of the loss)
            For each minibatch.
        """
        self._hold(images, targets, self.plan.batch_size)
        minibatches, queued = iter(minibatches), []
        try:
            for turn in count():
                chunk = list(islice(minibatches, self._steps_at_a_time))
                if chunk:  # images go up while the steps before are running
                    indices = self._place(np.concatenate([m.indices for m in chunk]), turn)
                yield from self._outcomes(queued)
                if not chunk:
                    return
                self._upload_tables(chunk, indices)
                queued = chunk
                for minibatch in chunk:
                    self._graph(len(minibatch.indices), minibatch.warps is not None).replay()
                    self.n_taken += 1
        finally:
            self._driver.synchronize()
            self._driver.download(self._arrays["parameters"], self.network.parameters)
            for name, moment in zip(("moment_1", "moment_2"), self._moments, strict=True):
                self._driver.download(self._arrays[name], moment)

    def score(self, images, scores):
        """Compute the class scores of images.

        Parameters
        ----------
        images : Images
            The n images.
        scores : ndarray of float32, (n, size of the scores)
            Overwritten.
        """
        batch = self.plan.batch_size
        self._hold(images, None, n_least=1)
        try:
            for turn, indices in enumerate(images.chunks(int(min(batch * self._capacity, self._pixels.most)))):
                batches = [indices[at : at + batch] for at in range(0, len(indices), batch)]
                self._upload_indices(batches, self._pixels.place(indices, turn))
                self._rewind()
                for one in batches:
                    self._graph(len(one), is_warped=False).replay()
                self._driver.synchronize()
                self._driver.download(self._arrays["scores"], scores[indices[0] : indices[-1] + 1])
        finally:
            self._pixels.forget()

    def forget_images(self):
        """Free the images on the device."""
        self._pixels.forget()

    @property
    def _steps_at_a_time(self):
        return int(min(self._capacity, self._pixels.most // self.plan.batch_size))

    def _hold(self, images, targets, n_least):
        """Have the images and their targets on the device, or buffers with room for at least `n_least` images."""
        before = self._pixels.address, dict(self._arrays.addresses)
        is_same = self._pixels.has(images) and targets is self._targets
        self._pixels.hold(images, n_least, self._capacity * self.plan.batch_size)
        if targets is not None and not is_same:
            self._targets = None  # also where there is no memory for them
            if self._pixels.n_places:
                self._arrays.allocate("targets", self._pixels.n_places * targets[:1].nbytes)
            else:
                self._arrays.put("targets", targets)
            self._targets = targets
        if (self._pixels.address, self._arrays.addresses) != before:
            self._graphs.clear()  # they have the old addresses

    def _place(self, images, turn):
        """Have images and their targets on the device; return the numbers by which kernels find both."""
        places = self._pixels.place(images, turn)
        if self._pixels.n_places:
            first = int(places[0]) * self._targets[:1].nbytes
            self._driver.upload(self._arrays["targets"] + first, self._targets[images])
        return places

    def _upload_tables(self, minibatches, indices):
        """Upload what the steps of these minibatches read, and begin with the first."""
        self._upload_indices([m.indices for m in minibatches], indices)
        self._upload_rows("weights", [m.weights for m in minibatches])
        self._upload_rows("rules", [m.rule for m in minibatches])
        self._upload_rows("draws", [m.draw for m in minibatches])
        if any(m.warps is not None for m in minibatches):
            self._upload_rows("warps", [m.warps.ravel() for m in minibatches])
        self._rewind()

    def _upload_indices(self, batches, indices):
        """Upload the numbers of the images; `indices` has those of all batches, one after the other."""
        ends = np.cumsum([len(batch) for batch in batches])[:-1]
        self._upload_rows("indices", np.split(indices, ends))

    def _upload_rows(self, name, rows):
        """Upload the rows of a table; they may be shorter than the table's."""
        dtype, size = self._columns[name]
        table = np.zeros((len(rows), size), dtype)
        for to, row in zip(table, rows, strict=True):
            to[: len(row)] = row
        self._driver.upload(self._arrays[name], table)

    def _rewind(self):
        """Have the next step read the first rows of the tables."""
        self._driver.upload(self._arrays["step"], np.zeros(1, np.int32))

    def _graph(self, n_samples, is_warped):
        """Return the graph of a step, recorded at its first use."""
        key = n_samples, is_warped, self._pixels.is_bytes
        if key not in self._graphs:
            if len(self._graphs) == _MOST_GRAPHS:
                self._graphs.pop(next(iter(self._graphs)))
            machine = self._machine(n_samples, int(is_warped))
            self._reserve_scratch(machine)
            launches = lower_run(self.plan, self._spaces, machine, self._arrays["scratch"])
            self._graphs[key] = self._driver.record(launches)
        return self._graphs[key]

    def _outcomes(self, minibatches):
        """Wait for the queued steps of these minibatches, and yield their outcomes."""
        dtype, size = self._columns["outcomes"]
        table = np.zeros((len(minibatches), size), dtype)
        self._driver.synchronize()
        self._driver.download(self._arrays["outcomes"], table)
        for minibatch, row in zip(minibatches, table, strict=True):
            n_samples, n_outcomes = len(minibatch.indices), self.plan.n_outcomes
            yield row[: n_samples * n_outcomes].reshape(n_samples, n_outcomes)
