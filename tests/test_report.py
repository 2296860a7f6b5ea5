"""The report: complete, self-contained, honest about what is missing, equal to the score."""

import json
import math
import re
from dataclasses import replace

import lxml.html
import numpy as np
import pytest
from synthetic_cell import cell

from xrdct_sim.judge.compare import Comparison
from xrdct_sim.judge.draw_maps import unit_text, value_limits
from xrdct_sim.judge.figures import MAP_FIGURES, film_slice
from xrdct_sim.judge.palette import SIGNED, shades
from xrdct_sim.judge.report import number_text, report_html, summary
from xrdct_sim.judge.score import score, score_json

SECTIONS = ["places", "film", "texture", "phases", "numbers", "settings", "provenance"]
FIGURES = [
    "steel",
    "LiCoO2",
    "separator",
    "LiCoO2_003_area",
    "density",
    "LiCoO2_003_position",
    "LiCoO2_003_width",
    "frame",
    "profile",
    "LiCoO2_003_texture_width",
    "LiCoO2_003_texture_centre",
    "LiCoO2_fraction",
    "Fe_fraction",
]


@pytest.fixture(scope="module")
def full() -> Comparison:
    return cell(n=24)


@pytest.fixture(scope="module")
def html(full: Comparison) -> str:
    return report_html(full, score(full))


@pytest.fixture(scope="module")
def page(html: str) -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(html)


def without(comparison: Comparison, *names: str) -> Comparison:
    """The comparison without some maps in any slice."""
    slices = tuple(
        replace(s, maps={k: v for k, v in s.maps.items() if k not in names})
        for s in comparison.slices
    )
    return replace(comparison, slices=slices)


def test_every_section_and_figure_is_there_in_order(page) -> None:
    assert [s.get("id") for s in page.iter("section")] == SECTIONS
    assert [f.get("id") for f in page.iter("figure")] == [f"figure-{key}" for key in FIGURES]
    assert {a.get("href")[1:] for a in page.iter("a")} == set(SECTIONS)


def test_every_tag_that_is_opened_is_closed(html) -> None:
    for tag in ("section", "figure", "table", "tbody", "tr", "td", "th", "dl", "dt", "dd", "p"):
        opened = len(re.findall(rf"<{tag}[ >]", html))
        assert opened == html.count(f"</{tag}>"), tag


def test_every_figure_says_in_words_what_it_shows_and_its_units(page) -> None:
    images = list(page.iter("img"))
    assert len(images) == len(FIGURES)
    for image in images:
        assert image.get("src").startswith("data:image/png;base64,")
        assert re.search(r"in mm|in °", image.get("alt"))
        assert re.search(r"mm⁻¹|Å⁻¹|\(°\)|counts|fraction", image.get("alt"))
        assert image.getnext().tag == "figcaption"


def test_nothing_is_fetched_from_elsewhere(page, html) -> None:
    assert not re.search(r"https?:|@import|url\(|<script|<link", html)
    assert all(a.get("href").startswith("#") for a in page.iter("a"))


def test_a_report_stays_small(html) -> None:
    assert len(html.encode()) < 1.2e6  # 24 x 24 voxels; 200 x 200 gives twice that


def test_the_table_holds_every_number_of_the_score(page, full) -> None:
    table = page.get_element_by_id("score")
    shown = {
        (group.get("data-name"), row.get("data-metric"), cell.get("data-slice")): cell.get(
            "data-value"
        )
        for group in table.iter("tbody")
        for row in group.iter("tr")
        for cell in row.iter("td")
        if cell.get("data-slice")
    }
    records = json.loads(score_json(score(full), full))["metrics"]
    written = {(m["name"], m["metric"], m["slice"]): json.dumps(m["value"]) for m in records}
    assert shown == written


def test_a_dash_has_a_note_with_its_reason(page) -> None:
    cells = [c for c in page.get_element_by_id("score").iter("td") if c.get("data-value")]
    missing = [c for c in cells if c.get("data-value") == "null"]
    assert missing  # the film's slices 4 and 5 have no film
    notes = [li.text for li in page.iter("li")]
    for cell_ in missing:
        assert cell_.text == "–"
        assert notes[int(cell_.find("sup").text) - 1]


def test_settings_are_shown_as_text_and_never_as_markup(page, html) -> None:
    assert "film <tilt>" in page.get_element_by_id("settings").text_content()
    assert "<tilt>" not in html
    assert "0123456789abcdef" in page.get_element_by_id("provenance").text_content()


@pytest.mark.parametrize("spec", MAP_FIGURES, ids=lambda spec: spec.name)
def test_a_missing_map_is_said_in_its_place(full, spec) -> None:
    page = report_page(without(only(full, spec.name), spec.name))
    figure = page.get_element_by_id(f"figure-{spec.name}")
    assert figure.find("img") is None
    assert f"No map “{spec.name}”" in figure.text_content()
    assert "missing" in page.find_class("missing")[0].text_content()


def only(comparison: Comparison, *names: str) -> Comparison:
    """The comparison with few maps, to be quick."""
    every = {name for piece in comparison.slices for name in piece.maps}
    return without(comparison, *(every - set(names)))


def report_page(comparison: Comparison) -> lxml.html.HtmlElement:
    return lxml.html.document_fromstring(report_html(comparison, score(comparison)))


def test_a_map_missing_in_one_slice_leaves_the_others(full) -> None:
    few = only(full, "steel")
    holed = replace(few, slices=(few.slices[0], without(few, "steel").slices[1], few.slices[2]))
    figure = report_page(holed).get_element_by_id("figure-steel")
    assert figure.find("img") is not None
    assert "No map “steel” in slice 2." in figure.text_content()
    assert "this run has 3" in figure.text_content()


def test_a_comparison_of_nothing_still_makes_a_report() -> None:
    page = report_page(Comparison(name="empty", slices=()))
    assert [s.get("id") for s in page.iter("section")] == SECTIONS
    assert not list(page.iter("img"))
    assert "no slice" in page.get_element_by_id("summary").text_content()


def test_a_failed_recovery_is_reported_without_a_number(full) -> None:
    """All voxels failed: pictures of grey, dashes with reasons."""
    width = "LiCoO2_003_texture_width"
    few = only(full, width, "LiCoO2_003_area")
    slices = tuple(
        replace(
            s,
            maps={
                k: replace(m, recovered=np.full_like(m.truth, np.nan)) for k, m in s.maps.items()
            },
        )
        for s in few.slices
    )
    failed = replace(few, slices=slices, frame=None)
    page = report_page(failed)
    assert page.get_element_by_id(f"figure-{width}").find("img") is not None
    assert "No raw frame" in page.get_element_by_id("figure-frame").text_content()
    numbers = {c.get("data-value") for c in page.get_element_by_id("score").iter("td")}
    assert numbers == {None, "null", "0.0"}  # the fit covers no voxel


def test_the_summary_quotes_the_score(full) -> None:
    result = score(full)
    label = film_slice(full).label
    assert label == "slice 2"
    text = summary(full, result)
    for name, metric in (
        ("LiCoO2_003_area", "amount"),
        ("LiCoO2_003_position", "p95_ppm"),
        ("LiCoO2_003_texture_width", "bias"),
        ("LiCoO2_003_texture_width", "coverage"),
    ):
        assert number_text(result.get(name, label, metric).value, metric) in text


def test_colour_limits_come_from_the_truth_alone(full) -> None:
    pairs = [s.maps["steel"] for s in full.slices]
    wild = [replace(p, recovered=p.recovered * 1e6) for p in pairs]
    assert value_limits(wild) == value_limits(pairs)
    assert value_limits(pairs)[0] == 0.0


def test_no_difference_is_white_and_no_value_is_grey() -> None:
    colours = shades(SIGNED)
    np.testing.assert_allclose(colours(0.5)[:3], 1.0, atol=0.05)  # RdBu's middle is 0.97
    assert len(set(colours.get_bad()[:3])) == 1


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        ("1/mm/sr/angstrom", "mm⁻¹ sr⁻¹ Å⁻¹"),
        ("1/angstrom", "Å⁻¹"),
        ("1/mm^2", "mm⁻²"),
        ("rad", "°"),
        ("1", ""),
    ],
)
def test_units_are_written_for_people(unit, text) -> None:
    assert unit_text(unit) == text


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.01234, "nrmse", "1.23"),
        (-0.00001, "amount", "0.00"),
        (1234.5, "bias_ppm", "1234"),
        (-0.5, "bias", "−0.500"),
        (4.2e-7, "bias", "4.20·10⁻⁷"),
        (math.nan, "bias", "–"),
        (0.0, "p95", "0"),
    ],
)
def test_numbers_are_rounded_for_people(value, metric, text) -> None:
    assert number_text(value, metric) == text
