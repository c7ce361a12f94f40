"""What a command writes: figures and numbers, into one file or a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from explorer.cli.result import Result
from explorer.errors import ParameterError, WriteError
from explorer.writing import check_writable, make_folder, make_temporary_folder, temporary_folder


def _endings(command: str) -> tuple[str, ...]:
    figures = (".png", ".svg", ".html")
    return (*figures, ".csv", ".json") if command == "probe" else figures


def _targets(out: str, command: str) -> Iterator[Path]:
    path = Path(out)
    if path.suffix.lower() in _endings(command):
        yield path
    else:
        yield from (path / f"{command}{ending}" for ending in _endings(command))


def check_out(out: str, command: str) -> None:
    """Refuse a place that cannot be written before minutes of work are spent on it."""
    path = Path(out)
    if not path.is_dir() and path.suffix.lower() not in _endings(command) and (path.suffix or path.exists()):
        *most, last = _endings(command)
        raise ParameterError(f"--out is a {', '.join(most)} or {last} file, or a folder; got '{out}'")
    for file in _targets(out, command):
        if file != path:
            make_folder(path)
        check_writable(file)


def write_files(result: Result, out: str, command: str) -> Iterator[str]:
    """Write the files of an answer; gives the name of each once it is there."""
    from explorer.figures.saving import save

    assert result.sheet is not None  # commands that draw nothing take no --out
    sheet = result.sheet()
    for path in _targets(out, command):
        numbers = result.save is not None and path.suffix.lower() in (".csv", ".json")
        yield str(result.save(path) if numbers and result.save else save(sheet, path))


def or_elsewhere(save: Callable[[Path], Path], file: Path) -> Path:
    """Save what took long to find; a WriteError where that fails says where it is kept: among the temporary files."""
    try:
        return save(file)
    except WriteError as error:
        try:
            folder = make_temporary_folder("explorer-kept-", temporary_folder())
            try:
                kept = save(folder / file.name)
            except WriteError:
                folder.rmdir()
                raise
        except WriteError:
            raise WriteError(
                f"{error}. There is no room for it among the temporary files either: it is lost"
            ) from error
        raise WriteError(f"{error}. It is kept as '{kept}'; move it from there") from error
