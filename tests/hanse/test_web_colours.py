"""The colours of the style sheet can be read: WCAG 2.2 AA, 4.5:1 for text and 3:1 for marks, in both schemes."""

from __future__ import annotations

import re

import pytest

from hanse.pages import ASSETS

CSS = (ASSETS / "hanse.css").read_text(encoding="utf-8")
TEXT_ON = [
    (text, ground)
    for text in ("text", "second", "third", "link", "ok", "warn", "down", "downtime", "unknown")
    for ground in ("surface", "page", "head")
]
PILLS = [(name, f"{name}-ground") for name in ("warn", "down", "downtime", "unknown")]
MARKS = [(mark, "surface") for mark in ("warn-mark", "down-bar", "downtime-bar", "unknown", "ink")]


def tokens(scheme: str) -> dict[str, str]:
    """The custom properties of `light`, or of `dark` over those of light."""
    light = re.search(r"^:root \{(.*?)^\}", CSS, re.S | re.M)
    dark = re.search(r"prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}", CSS, re.S)
    assert light is not None
    assert dark is not None
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", light[1]))
    if scheme == "dark":
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{3,6})", dark[1]))
    return found


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(digit * 2 for digit in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("text", "ground"), [*TEXT_ON, *PILLS, ("bar-second", "bar"), ("link", "chosen")])
def test_text_stands_out_from_its_ground(scheme: str, text: str, ground: str) -> None:
    known = tokens(scheme)
    assert contrast(known[text], known[ground]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_word_on_a_filled_button_can_be_read(scheme: str) -> None:
    assert contrast("#ffffff", tokens(scheme)["button"]) >= 4.5


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("mark", "ground"), MARKS)
def test_marks_of_trouble_stand_out(scheme: str, mark: str, ground: str) -> None:
    known = tokens(scheme)
    assert contrast(known[mark], known[ground]) >= 3
