"""Files of torch.save. Like those of `tests.torch_answers`, the functions run in another process."""


def save(path, new):
    """Save arrays of many types and strides, and return what they are: floats as float32."""
    import torch

    base = torch.arange(24.0).reshape(2, 3, 4)
    arrays = {
        "plain": base,
        "turned": base.permute(2, 0, 1),
        "part": base[1, 1:],
        "scalar": torch.tensor(3.0),
        "empty": torch.zeros(0, 3),
        "parameter": torch.nn.Parameter(torch.ones(3)),
        "half": torch.tensor([1.5, -2]).half(),
        "brain": torch.tensor([1.5, -2, 1e-39]).bfloat16(),
        "double": torch.tensor([0.1]).double(),
        "count": torch.tensor(7),
        "bytes": torch.tensor([1, 255], dtype=torch.uint8),
    }
    torch.save(arrays, path, _use_new_zipfile_serialization=new)
    return {
        name: (array.float() if array.is_floating_point() else array).detach().numpy() for name, array in arrays.items()
    }


def save_checkpoint(path, name):
    import torch

    network = torch.nn.Sequential()
    network.add_module("fc", torch.nn.Linear(3, 2))
    torch.save({"epoch": 3, "best": torch.tensor(0.5), name: network.state_dict(), "losses": [0.5, 0.25]}, path)


def save_and_convert(path, message):
    """Save what is refused, a module and a checkpoint with other objects, and convert it by the line of the error."""
    from argparse import Namespace

    import torch

    code = message.partition('python -c "')[2].removesuffix('"').replace("FILE", str(path))
    network = torch.nn.Sequential()
    network.add_module("fc", torch.nn.Linear(3, 2))
    contents = [network, {"arguments": Namespace(), "state_dict": network.state_dict()}]
    files = []
    for content in contents:
        torch.save(content, path)
        before = path.read_bytes()
        exec(code, {})
        files.append((before, path.with_suffix(".pth.safetensors").read_bytes()))
    return files
