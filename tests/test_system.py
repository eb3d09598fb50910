from skconvnet._system import machine_memory


def test_the_memory_of_this_machine():
    assert 2**28 < machine_memory() < 2**60


def test_a_container_may_have_less(tmp_path):
    files = [tmp_path / "limit", tmp_path / "no_limit", tmp_path / "absent"]
    files[0].write_text("12345\n")
    files[1].write_text("max\n")
    assert machine_memory(files) == 12345
    assert machine_memory(files[1:]) == machine_memory([])
