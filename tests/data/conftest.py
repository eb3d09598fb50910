"""Fixtures of the tests of image files."""

import pytest


@pytest.fixture(params=["directory", "archive"])
def stored(request, tmp_path):
    """`stored({name: bytes})` writes files into a directory or an archive; returns its path."""

    def write(files):
        if request.param == "directory":
            for name, content in files.items():
                (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
                (tmp_path / "images" / name).write_bytes(content)
            (tmp_path / "images").mkdir(exist_ok=True)
            return tmp_path / "images"
        from tests.data.image_files import packed  # needs Pillow, which other tests here do not

        return packed(tmp_path / "images.zip", files)

    return write
