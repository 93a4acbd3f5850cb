"""A result as a Nagios plugin says it: `STATUS - text | perfdata`, exit code 0 to 3.

Foreign text cannot add a line or perfdata of its own: line breaks and pipes are replaced.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from monitoring.findings import Figure, Result


def plugin_output(name: str, result: Result) -> str:
    """One line, without its end. Labels are quoted when they hold a space or an equals sign."""
    figures = " ".join(_perf(figure) for figure in result.figures)
    head = f"{name.upper()} {result.status.name} - {plain(result.summary)}"
    return f"{head} | {figures}" if figures else head


def perfdata(figures: Iterable[Mapping[str, Any]]) -> str:
    """The figures of a stored result as perfdata."""
    return " ".join(_perf(Figure(**figure)) for figure in figures)


def plain(text: str) -> str:
    """Text on one line, the pipe that begins perfdata taken out."""
    return re.sub(r"[\x00-\x1f\x7f\u2028\u2029]+", " ", text).replace("|", "¦").strip()


def _perf(figure: Figure) -> str:
    label = figure.label.replace("'", "")
    label = f"'{label}'" if re.search(r"[\s=]", label) else label
    value = "U" if figure.value is None else f"{figure.value:.6g}"
    fields = [f"{value}{figure.unit if figure.value is not None else ''}", figure.warning, figure.critical]
    return f"{label}={';'.join(fields).rstrip(';')}"
