"""Colours: text and marks contrast with the background in both themes, and bands with one another."""

from itertools import pairwise

import pytest

from service.charts.theme import DARK, LIGHT, THEMES, Theme


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_the_contrast_ratio_is_correct() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_text_and_marks_have_enough_contrast(theme: Theme) -> None:
    for colour in (theme.text, theme.ink, theme.median, theme.accent, theme.walk):
        assert contrast(colour, theme.paper) >= 4.5
    for colour in theme.others:
        assert contrast(colour, theme.paper) >= 3
    assert contrast(theme.median, theme.band50) >= 3


@pytest.mark.parametrize("theme", [LIGHT, DARK])
def test_bands_are_strongest_in_the_middle(theme: Theme) -> None:
    steps = [contrast(theme.band(level), theme.paper) for level in (95, 80, 50)]
    assert steps == sorted(steps)
    assert steps[0] > 1.1
    assert all(later / earlier > 1.2 for earlier, later in pairwise(steps))


def test_both_themes_are_registered() -> None:
    assert THEMES == {"light": LIGHT, "dark": DARK}
