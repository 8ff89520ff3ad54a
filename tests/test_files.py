"""A file is written whole or not at all, and its name is checked before the work."""

from __future__ import annotations

import logging

import pytest

from tgsr.errors import ParameterError
from tgsr.files import atomic_path, check_output, write_text


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "new" / "table.csv"
    write_text(path, "first")

    def interrupted():
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interrupted()
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_name_that_cannot_be_written_is_refused_and_a_new_folder_is_announced(tmp_path, caplog):
    with pytest.raises(ParameterError, match=r"ends in .csv or .parquet"):
        check_output(tmp_path / "table.xlsx", ".csv", ".parquet")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ParameterError, match="is a folder"):
        check_output(tmp_path / "folder.csv", ".csv")
    with caplog.at_level(logging.INFO, logger="tgsr"):
        check_output(tmp_path / "table.csv", ".csv")
        assert not caplog.messages
        check_output(tmp_path / "new" / "table.csv", ".csv")
    assert caplog.messages == [f"{tmp_path / 'new'}: there is no such folder yet; it will be made"]
