"""``python -m tracedtimeout dashboards``: writes Grafana dashboards, Prometheus rules and runbooks."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["FILES", "TABLE", "files", "main"]

FILES = Path(__file__).parent / "_dashboards"
TABLE = "objectives.yml"
"""The file that is the operator's: once written, it is left alone."""

_LINK = re.compile(r"""((?:runbook|dashboard)_url"?: "?)(runbooks(?=/)|(?=/d/))""")


def main(arguments: list[str]) -> int:
    """Write dashboards, rules and runbooks into a folder; a table of objectives that is there stays as it is."""
    chosen = _parser().parse_args(arguments)
    for name, text in files(runbooks=chosen.runbooks, grafana=chosen.grafana):
        path: Path = chosen.folder / name
        if path.name == TABLE and path.exists():
            print(f"kept {path}")
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(path)
    return 0


def files(*, runbooks: str, grafana: str) -> Iterator[tuple[str, str]]:
    """Each file's path beneath the folder and its text, with the addresses that alerts link to."""
    for path in sorted(FILES.rglob("*.*")):
        text = path.read_text(encoding="utf-8")
        if path.parent.name != "grafana":
            text = _LINK.sub(lambda link: link[1] + (runbooks if link[2] == "runbooks" else grafana).rstrip("/"), text)
        yield path.relative_to(FILES).as_posix(), text


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tracedtimeout dashboards", description=main.__doc__)
    parser.add_argument(
        "folder", type=Path, help="where to write grafana/, prometheus/, kubernetes/, mixin/, runbooks/"
    )
    parser.add_argument("--grafana", default="", metavar="URL", help="of your Grafana, for the dashboard_url of alerts")
    parser.add_argument(
        "--runbooks", default="runbooks", metavar="URL", help="of your copy of runbooks/, for the runbook_url of alerts"
    )
    return parser
