"""A table that a collection came with in, its rows out."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from restem.errors import UserError


def read_table(path: Path, columns: Iterable[str], delimiter: str = ",") -> list[dict[str, str]]:
    """Its rows by column, cut-off ones filled up with "".

    Raises UserError if the file is not a UTF-8 table or lacks one of `columns`.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, delimiter=delimiter, restval="")
            absent = [column for column in columns if column not in (reader.fieldnames or [])]
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path.name} cannot be read as a table ({error}); get it again.") from None
    if absent:
        raise UserError(
            f"{path.name} lacks the columns {', '.join(absent)}; give the published table."
        )
    return rows
