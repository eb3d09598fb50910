from ctypes import CFUNCTYPE, c_int64

from tests.engine.cuda.ptx import machine_code
from tests.engine.cuda.ptx.machine_code import compiled

ADD = "define i64 @run(i64 %a, i64 %b) {\n%c = add i64 %a, %b\nret i64 %c\n}\n"


def call(engine, a, b):
    return CFUNCTYPE(c_int64, c_int64, c_int64)(engine.get_function_address("run"))(a, b)


def test_code_is_compiled_once_and_loaded_again(tmp_path, monkeypatch):
    assert call(compiled(ADD, tmp_path), 2, 3) == 5
    monkeypatch.setattr(machine_code, "_compile", None)
    assert call(compiled(ADD, tmp_path), 2, 4) == 6


def test_other_code_is_another_file(tmp_path):
    compiled(ADD, tmp_path)
    assert call(compiled(ADD.replace("add", "mul"), tmp_path), 2, 3) == 6


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path):
    tmp_path.joinpath("file").touch()
    assert call(compiled(ADD, tmp_path / "file" / "folder"), 2, 3) == 5


def test_old_files_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr(machine_code, "_MOST_FILES", 4)
    for number in range(5):
        compiled(ADD.replace("%b\nret", f"{number}\nret"), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
