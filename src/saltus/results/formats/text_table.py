"""Text tables as people keep them: any delimiter, decimal commas, UTF-16, comment lines, pipes of a printed table.

What is plain CSV is read by polars directly; everything else is brought into plain CSV here first. What was skipped is
returned as sentences.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from saltus.errors import UserError

DELIMITERS = ("\t", ";", "|", ",")
_RULE = re.compile(r"\s*\|?(?:\s*:?-{2,}:?\s*\|)+\s*(?:\s*:?-{2,}:?\s*)?\|?\s*")
_COMMA = re.compile(r"\s*[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+),\d+\s*%?\s*")
_THOUSANDS = re.compile(r"\s*[-+]?[1-9]\d{0,2}(?:,\d{3})+\s*%?\s*")
_PLAIN = re.compile(r"\s*[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+)?\s*%?\s*")
_LOOKED_AT = 50


@dataclass(frozen=True, slots=True)
class Layout:
    """How a text holds its table."""

    delimiter: str
    header: int
    """Index of the header among the lines."""
    comments: tuple[int, ...]
    """Lines before it, and lines with # behind it."""
    plain: bool
    """Nothing to do but to read it with this delimiter."""


def decode(data: bytes) -> str | None:
    """The bytes as text: UTF-8 or UTF-16 with or without a mark, else Windows-1252; None for what is no text."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return data.decode("utf-16", errors="ignore")
    if b"\0" in data[:64]:
        half = "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
        return data.decode(half, errors="ignore") if data[:64].count(b"\0") >= len(data[:64]) // 2 - 2 else None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data" and error.start > len(data) - 4:
            return data[: error.start].decode("utf-8-sig")
    text = data.decode("cp1252", errors="replace")
    strange = sum(not (c.isprintable() or c in "\r\n\t") for c in text[:2000])
    return None if "\ufffd" in text or strange else text


def layout(text: str) -> Layout | None:
    """How the text holds a table; None where it holds none. text: all of it, or its beginning."""
    lines = text.splitlines()[:_LOOKED_AT]
    rule = next((i for i, line in enumerate(lines) if line.strip() and _RULE.fullmatch(line)), None)
    if rule:
        return Layout("|", rule - 1, (*range(rule - 1), rule), plain=False)
    full = [i for i, line in enumerate(lines) if line.strip()]
    best: tuple[int, int, str, int] | None = None
    for rank, mark in enumerate(DELIMITERS):
        widths = {i: _width(lines[i], mark) for i in full}
        counts = Counter(w for i, w in widths.items() if w > 1 and not lines[i].startswith("#"))
        if not counts:
            continue
        width, agree = max(counts.items(), key=lambda pair: (pair[1], pair[0]))
        header = next((i for i in full if widths[i] == width), 0)
        if best is None or (agree, -rank) > best[:2]:
            best = (agree, -rank, mark, header)
    if best is None:
        return None
    _, _, mark, header = best
    width = _width(lines[header], mark)
    comments = tuple(i for i in full if i < header or (lines[i].startswith("#") and _width(lines[i], mark) != width))
    plain = not comments and header == full[0] and not lines[header].startswith("#") and mark in ",\t"
    return Layout(mark, header, comments, plain=plain)


def columns(text: str) -> tuple[list[str], Layout] | None:
    """The header's cells and the layout; None where the text holds no table."""
    found = layout(text)
    if found is None:
        return None
    return _cells(text.splitlines()[found.header], found.delimiter), found


def plain_csv(text: str, where: str) -> tuple[str, list[str]]:
    """The table as plain CSV, and sentences on what was skipped. Raises UserError for a line of another width."""
    found = layout(text)
    if found is None:
        raise UserError("holds no table", where=where, wanted="a header and lines with the same number of cells")
    lines = text.splitlines()
    head = _cells(lines[found.header].lstrip("#"), found.delimiter)
    rows, skipped, used = [], [], [i for i, cell in enumerate(head) if cell]
    if found.delimiter != "|":
        used = list(range(len(head)))
    for i, line in enumerate(lines):
        if i == found.header or not line.strip() or _RULE.fullmatch(line):
            continue
        if i < found.header or (line.startswith("#") and _width(line, found.delimiter) != len(head)):
            skipped.append(i)
            continue
        cells = _cells(line, found.delimiter)
        if len(cells) > len(head) and any(c.strip() for c in cells[len(head) :]):
            raise UserError(
                f"{len(cells)} cells under {len(head)} columns",
                where=f"{where}, line {i + 1}",
                wanted="as many cells as the header has",
                do="quote the cell that holds the delimiter, or remove the line",
            )
        rows.append([cells[j] if j < len(cells) else "" for j in used])
    if found.delimiter == "|":
        rows = _filled_down(rows)
    notes = []
    if skipped:
        notes.append(f"{len(skipped)} lines that are no rows were skipped, first: {lines[skipped[0]][:60]}")
    if found.delimiter != ",":
        rows, converted = _decimal_points(rows)
        notes += ["decimal commas were read as points"] * converted
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([head[j] for j in used])
    writer.writerows(rows)
    return out.getvalue(), notes


def _width(line: str, mark: str) -> int:
    return len(_cells(line, mark))


def _cells(line: str, mark: str) -> list[str]:
    if mark == "|":
        inner = line.strip().removeprefix("|").removesuffix("|")
        return [cell.strip().strip("*`") for cell in inner.split("|")]
    return [cell.strip() for cell in next(csv.reader([line], delimiter=mark), [])]


def _filled_down(rows: list[list[str]]) -> list[list[str]]:
    """A printed table leaves out what the line above says: the first column, and more of it on the left."""
    out: list[list[str]] = []
    for row in rows:
        lead = next((i for i, cell in enumerate(row) if cell), len(row))
        out.append([*(out[-1][:lead] if out else row[:lead]), *row[lead:]])
    return out


def _decimal_points(rows: list[list[str]]) -> tuple[list[list[str]], bool]:
    """The rows with points for decimal commas, where some column can be nothing else; thousands stay as they are."""
    by_column = list(zip(*rows, strict=True)) if rows else []
    numeric = [i for i, cells in enumerate(by_column) if _may_be_decimal(cells)]
    if not any(not _THOUSANDS.fullmatch(c) for i in numeric for c in by_column[i] if "," in c):
        return rows, False
    return [
        [cell.replace(".", "").replace(",", ".") if i in numeric else cell for i, cell in enumerate(row)]
        for row in rows
    ], True


def _may_be_decimal(cells: Sequence[str]) -> bool:
    given = [c for c in cells if c.strip()]
    return any("," in c for c in given) and all(_COMMA.fullmatch(c) or _PLAIN.fullmatch(c) for c in given)
