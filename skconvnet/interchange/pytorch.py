"""Files of `torch.save`, old and new, read without PyTorch. Nothing in them is executed.

Such a file is a pickle, which says what the arrays are called and where their numbers are, and the numbers. Python's
unpickler calls what a pickle names. Here a pickle is not unpickled: `_Interpreter` carries out the few instructions
that a dictionary of arrays needs, in which a name can only stand for one of a dozen things, and refuses all others.
"""

import math
import pickletools
import zipfile
from dataclasses import dataclass
from io import BytesIO

import numpy as np

from skconvnet.interchange.weights import WeightsFile, as_float32

__all__ = ["is_pytorch", "read_pytorch"]

_MAGIC = 0x1950A86A20F9469CFC6C  # the first number of an old file
_MOST_STEPS = 1_000_000  # of a pickle: some 20,000 arrays
_MOST_AXES = 8
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "bf16",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_STORAGES = {f"torch.{name}": dtype for name, dtype in _DTYPES.items()}
_TENSORS = {"torch._utils._rebuild_tensor": 4, "torch._utils._rebuild_tensor_v2": 6}  # and their least arguments
_PARAMETER, _DICT = "torch._utils._rebuild_parameter", "collections.OrderedDict"
_KNOWN = {*_STORAGES, *_TENSORS, _PARAMETER, _DICT}
_DICTS_OF_ARRAYS = ("state_dict", "model_state_dict", "model", "net", "params")  # where checkpoints have the arrays
_CONVERT = (
    "python -c \"import torch; from safetensors.torch import save_file; m = torch.load('FILE', map_location='cpu', "
    "weights_only=False); save_file(m.state_dict() if hasattr(m, 'state_dict') else m.get('state_dict', m), "
    "'FILE.safetensors')\""
)


@dataclass(frozen=True)
class _Name:
    """Something that the pickle calls by its name."""

    name: str


@dataclass(frozen=True)
class _Storage:
    """The numbers of one or several arrays, which lie elsewhere in the file."""

    key: str
    dtype: str
    n_elements: int


@dataclass(frozen=True)
class _Tensor:
    """An array: a view of a storage, in elements."""

    storage: _Storage
    offset: int
    shape: tuple
    strides: tuple


def is_pytorch(data):
    """Return whether the content of a file may be that of `torch.save`.

    Examples
    --------
    >>> is_pytorch(b"PK123456"), is_pytorch(b"GIF89a")
    (True, False)
    """
    return data.startswith((b"PK", b"\x80"))


def read_pytorch(data):
    """Read the arrays of a file of `torch.save`.

    Parameters
    ----------
    data : bytes
        The content of the file: an archive as of PyTorch 1.6, or an older file.

    Returns
    -------
    WeightsFile
        Views of the numbers in the file where these are float32. In a checkpoint with other things, the arrays of the
        network.

    Raises
    ------
    ValueError
        If the file is damaged, if an array leaves the numbers of its storage, or if the pickle has anything but arrays,
        numbers and texts in dictionaries, lists and tuples. The error names it.
    """
    try:
        content, read_storage = _open_archive(data) if data.startswith(b"PK") else _open_old(data)
        return WeightsFile(_arrays(_state_dict(content), read_storage))
    except ValueError:
        raise
    except Exception as error:  # the type depends on where the file is damaged
        raise ValueError(f"it is damaged, or no file of torch.save ({type(error).__name__}: {error}).") from error


def _open_archive(data):
    """Return what the pickle of an archive describes, and a function that returns the bytes of a storage."""
    archive = zipfile.ZipFile(BytesIO(data))
    members = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
    if "data.pkl" not in members:
        raise ValueError("it is an archive, but has no data.pkl as those of torch.save have.")
    left = len(data)  # to read: members may overlap

    def read(name):
        nonlocal left
        entry = members[name]
        left -= entry.file_size
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size or left < 0:
            raise ValueError(
                f"{name!r:.80} in the archive is compressed or too large, and torch.save does not do that."
            )
        return archive.read(entry)

    if "byteorder" in members and read("byteorder") != b"little":
        raise ValueError("its numbers are not little-endian.")
    content = _Interpreter(BytesIO(read("data.pkl"))).run()
    return content, lambda storage: read(f"data/{storage.key}")


def _open_old(data):
    """Return what the pickle of an old file describes, and a function that returns the bytes of a storage."""
    file = BytesIO(data)
    magic, _, system = (_Interpreter(file).run() for _ in range(3))
    if magic != _MAGIC:
        raise ValueError("it is a pickle, but not one of torch.save.")
    if system["little_endian"] is not True:
        raise ValueError("its numbers are not little-endian.")
    interpreter = _Interpreter(file)
    content, keys = interpreter.run(), _Interpreter(file).run()
    places, end = {}, file.tell()
    for key in keys:
        if not isinstance(key, str):  # the hash of nested tuples may take forever
            raise ValueError("it has a storage whose key is no text.")
        storage = interpreter.storages[key]
        size = storage.n_elements * _itemsize(storage)
        if int.from_bytes(data[end : end + 8], "little") != storage.n_elements or end + 8 + size > len(data):
            raise ValueError(
                f"the storage {key!r:.80} has another length than the pickle says, or ends after the file."
            )
        places[key], end = slice(end + 8, end + 8 + size), end + 8 + size
    return content, lambda storage: memoryview(data)[places[storage.key]]


def _itemsize(storage):
    return 2 if storage.dtype == "bf16" else np.dtype(storage.dtype).itemsize


def _state_dict(content):
    """Return the dictionary of arrays in a file: the network's, if it is a checkpoint with other things."""
    if isinstance(content, dict):
        candidates = [*(content.get(name) for name in _DICTS_OF_ARRAYS), content]
        for candidate in candidates:
            tensors = candidate.items() if isinstance(candidate, dict) else ()
            found = {key: value for key, value in tensors if isinstance(value, _Tensor)}
            if found:
                return found
    raise ValueError("it has no dictionary of arrays, as state_dict() of a network is.")


def _arrays(tensors, read_storage):
    """Return the arrays by name, each checked to lie in its storage."""
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    room = 2 * sum(storage.n_elements for storage in storages.values())  # two names for an array are possible
    numbers, arrays = {}, {}
    for name, tensor in tensors.items():
        _check_bounds(name, tensor)
        room -= math.prod(tensor.shape)
        if room < 0:
            raise ValueError("its arrays overlap, so that they are larger than the file.")
        key = tensor.storage.key
        if key not in numbers:
            data = read_storage(tensor.storage)
            if len(data) != tensor.storage.n_elements * _itemsize(tensor.storage):
                raise ValueError(f"the storage {key!r:.80} has another length than the pickle says.")
            numbers[key] = as_float32(data, tensor.storage.dtype)
        arrays[name] = _view(numbers[key], tensor)
    return arrays


def _is_size(number):
    return type(number) is int and 0 <= number < 2**62


def _check_bounds(name, tensor):
    numbers = (tensor.offset, *tensor.shape, *tensor.strides)
    if not isinstance(name, str) or not all(map(_is_size, numbers)):
        raise ValueError(f"the array {name!r:.80} has no whole numbers as shape, strides and offset.")
    if len(tensor.shape) != len(tensor.strides):
        raise ValueError(f"the array {name!r:.80} has {len(tensor.shape)} axes and {len(tensor.strides)} strides.")
    size = math.prod(tensor.shape)
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    if size > tensor.storage.n_elements or (size and last >= tensor.storage.n_elements):
        raise ValueError(
            f"the array {name!r:.80} of shape {tensor.shape} and strides {tensor.strides} begins at {tensor.offset} of "
            f"a storage with {tensor.storage.n_elements} numbers, and leaves it."
        )


def _view(numbers, tensor):
    """Return an array as a view of the numbers of its storage; NumPy checks the bounds again."""
    if 0 in tensor.shape:
        return np.zeros(tensor.shape, numbers.dtype)
    strides = tuple(stride * numbers.itemsize for stride in tensor.strides)
    return np.ndarray(tensor.shape, numbers.dtype, numbers, tensor.offset * numbers.itemsize, strides)


class _Interpreter:
    """Carries out the instructions of a pickle that describes arrays, and no others.

    It makes dictionaries, lists, tuples, numbers, texts, and the descriptions `_Tensor` and `_Storage`. It calls
    nothing and imports nothing.

    Parameters
    ----------
    file : binary file
        It is read up to the end of the pickle.

    Attributes
    ----------
    storages : dict of str to _Storage
        Those that the pickle has mentioned.
    """

    def __init__(self, file):
        self._file = file
        self._stack, self._marks, self._memo = [], [], {}
        self.storages = {}

    def run(self):
        """Return what the pickle describes; raise a ValueError if it has another instruction, or is too long."""
        for count, (instruction, argument, _) in enumerate(pickletools.genops(self._file)):
            name = instruction.name
            if count > _MOST_STEPS:
                raise ValueError(f"its pickle has more than {_MOST_STEPS:,} instructions.")
            if name == "STOP":
                return self._stack.pop()
            if name in _LITERALS:
                self._stack.append(argument)
            elif name in _CONSTANTS:
                self._stack.append(_CONSTANTS[name]())
            elif name in _METHODS:
                _METHODS[name](self, argument)
            elif name not in _IGNORED:
                raise ValueError(f"its pickle has the instruction {name}, which arrays do not need.")

    def _since_mark(self):
        first = self._marks.pop()
        items = self._stack[first:]
        del self._stack[first:]
        return items

    def _pop(self, n):
        items = self._stack[-n:]
        if len(items) < n:
            raise ValueError("its pickle takes more than it has.")
        del self._stack[-n:]
        return items

    def _mark(self, _):
        self._marks.append(len(self._stack))

    def _tuple(self, _):
        self._stack.append(tuple(self._since_mark()))

    def _tuple1(self, _):
        self._stack.append(tuple(self._pop(1)))

    def _tuple2(self, _):
        self._stack.append(tuple(self._pop(2)))

    def _tuple3(self, _):
        self._stack.append(tuple(self._pop(3)))

    def _binput(self, number):
        self._memo[number] = self._stack[-1]

    def _memoize(self, _):
        self._binput(len(self._memo))

    def _binget(self, number):
        self._stack.append(self._memo[number])

    def _append(self, _):
        (item,) = self._pop(1)
        self._stack[-1].append(item)

    def _appends(self, _):
        items = self._since_mark()
        self._stack[-1].extend(items)

    def _setitem(self, _):
        self._set(self._pop(2))

    def _setitems(self, _):
        self._set(self._since_mark())

    def _set(self, items):
        """Put keys and values, which follow one another, into the dictionary on the stack."""
        keys, values = items[::2], items[1::2]
        target = self._stack[-1]
        if not isinstance(target, dict) or any(not isinstance(key, (str, int, float)) for key in keys):
            raise ValueError("its pickle has a dictionary whose keys are neither texts nor numbers.")
        target.update(zip(keys, values, strict=True))

    def _global(self, argument):
        name = argument.replace(" ", ".")
        if name not in _KNOWN:
            raise _refused(name)
        self._stack.append(_Name(name))

    def _stack_global(self, _):
        names = self._pop(2)
        if not all(isinstance(name, str) for name in names):  # the text of nested lists may be endless
            raise ValueError("its pickle names something by other things than texts.")
        self._global(" ".join(names))

    def _binpersid(self, _):
        (identity,) = self._pop(1)
        kind, storage_type, key, _, n_elements = identity[:5]
        if kind != "storage" or storage_type.name not in _STORAGES:
            raise ValueError("its pickle refers to something outside that is no storage.")
        if not isinstance(key, str) or not _is_size(n_elements):
            raise ValueError("its pickle has a storage without key or length.")
        if len(identity) > 5 and identity[5] is not None:
            raise ValueError("its pickle has a view of a storage, as PyTorch before 0.4 wrote it. Save the file anew.")
        storage = _Storage(key, _STORAGES[storage_type.name], n_elements)
        if self.storages.setdefault(key, storage) != storage:
            raise ValueError(f"its pickle has two storages {key!r:.80}.")
        self._stack.append(storage)

    def _reduce(self, _):
        called, arguments = self._pop(2)
        name = called.name
        if name in _TENSORS and len(arguments) >= _TENSORS[name] and isinstance(arguments[0], _Storage):
            storage, offset, shape, strides = arguments[:4]
            if not all(isinstance(extents, tuple) and len(extents) <= _MOST_AXES for extents in (shape, strides)):
                raise ValueError(f"its pickle has an array whose shape or strides are no tuple of up to {_MOST_AXES}.")
            self._stack.append(_Tensor(storage, offset, shape, strides))
        elif name == _PARAMETER and isinstance(arguments[0], _Tensor):
            self._stack.append(arguments[0])
        elif name == _DICT and arguments == ():
            self._stack.append({})
        else:
            raise ValueError(f"its pickle calls {name} with other arguments than torch.save.")

    def _build(self, _):
        target, _ = self._pop(2)
        if not isinstance(target, dict):  # the _metadata of a state_dict, which are not needed
            raise ValueError("its pickle has the state of an object.")
        self._stack.append(target)


_LITERALS = {"BININT", "BININT1", "BININT2", "LONG1", "LONG4", "INT", "LONG", "BINFLOAT", "FLOAT"}
_LITERALS |= {"BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "UNICODE"}
_LITERALS |= {"BINSTRING", "SHORT_BINSTRING", "STRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"}
_CONSTANTS = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
}
_IGNORED = {"PROTO", "FRAME"}
_METHODS = {
    "MARK": _Interpreter._mark,
    "TUPLE": _Interpreter._tuple,
    "TUPLE1": _Interpreter._tuple1,
    "TUPLE2": _Interpreter._tuple2,
    "TUPLE3": _Interpreter._tuple3,
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Interpreter._binput),
    "MEMOIZE": _Interpreter._memoize,
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Interpreter._binget),
    "APPEND": _Interpreter._append,
    "APPENDS": _Interpreter._appends,
    "SETITEM": _Interpreter._setitem,
    "SETITEMS": _Interpreter._setitems,
    "GLOBAL": _Interpreter._global,
    "STACK_GLOBAL": _Interpreter._stack_global,
    "BINPERSID": _Interpreter._binpersid,
    "REDUCE": _Interpreter._reduce,
    "BUILD": _Interpreter._build,
}


def _refused(name):
    return ValueError(
        f"its pickle names {name!r:.100}, which is not loaded, because a pickle may execute anything. If you trust the "
        f"file, PyTorch converts it: {_CONVERT}"
    )
