"""Files of torch.save made by hand, so that they may be wrong."""

import io
import pickle
import zipfile

import numpy as np

MAGIC, PROTOCOL, SYSTEM = 0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}


def archive(pickled, storages=(), compression=zipfile.ZIP_STORED, **more):
    """An archive as of torch.save, around any pickle."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as made:
        made.writestr("archive/data.pkl", pickled)
        for key, data in dict(storages).items():
            made.writestr(f"archive/data/{key}", data)
        for name, data in more.items():
            made.writestr(f"archive/{name}", data)
    return file.getvalue()


def old_file(pickled, storages=()):
    """A file as torch.save wrote it before version 1.6, around any pickle, with storages of float32."""
    keys = dict(storages)
    head = [pickle.dumps(part, 2) for part in (MAGIC, PROTOCOL, SYSTEM)]
    numbers = [(len(data) // 4).to_bytes(8, "little") + data for data in keys.values()]
    return b"".join([*head, pickled, pickle.dumps(list(keys), 2), *numbers])


def described(**arrays):
    """A pickle of protocol 2 with the description of these arrays: keyword arguments of `tensor`."""
    items = b"".join(_text(name) + tensor(**one) + b"s" for name, one in arrays.items())
    return b"\x80\x02ccollections\nOrderedDict\n)R" + items + b"."


def tensor(shape=(2, 3), strides=(3, 1), offset=0, n=6, storage=b"torch FloatStorage", key="0"):
    """The instructions that describe one array."""
    module, kind = storage.split()
    identity = b"(" + _text("storage") + b"c" + module + b"\n" + kind + b"\n" + _text(key) + _text("cpu") + _number(n)
    parts = [identity + b"tQ", _number(offset), _tuple(shape), _tuple(strides), b"\x89", b"}"]
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + b"".join(parts) + b"tR"


def files_of(arrays):
    """The pickle and the storages of float32 arrays."""
    entries = {}
    for n, (name, array) in enumerate(arrays.items()):
        strides = [stride // array.itemsize for stride in array.strides]
        entries[name] = {"shape": array.shape, "strides": strides, "n": array.size, "key": str(n)}
    return described(**entries), {str(n): np.ascontiguousarray(a).tobytes() for n, a in enumerate(arrays.values())}


def _text(value):
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def _number(value):
    return b"\x8a\x09" + int(value).to_bytes(9, "little", signed=True)


def _tuple(values):
    return b"(" + b"".join(map(_number, values)) + b"t"
