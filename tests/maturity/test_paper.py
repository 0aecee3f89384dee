"""The PDF: whole, searchable, the same each time, and nothing outside of its column or page."""

import re
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from matplotlib.backends.backend_agg import FigureCanvasAgg

from mlops_lab.maturity.answers import Answer, Sheet
from mlops_lab.maturity.assessment import assess
from mlops_lab.maturity.bank import read_bank
from mlops_lab.maturity.evidence import gather_evidence
from mlops_lab.maturity.paper import _width_of, as_pdf, lay_out, wrap_text
from mlops_lab.maturity.report import Report, level_rows

BANK = read_bank()


@pytest.fixture(scope="module", params=["en", "es"])
def report(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("empty")
    evidence = gather_evidence(folder, BANK)
    answers = {name: Answer(k % 4) for k, name in enumerate(BANK.criteria)}
    found = assess(BANK, Sheet(BANK.version, answers, "Ada"), ceilings=evidence.ceilings)
    return Report(BANK, found, evidence, request.param, project="$x_1$ <shop> & añó")


@pytest.fixture(scope="module")
def pages(report):
    return lay_out(report)


def test_every_line_is_on_its_page_and_no_two_lines_touch(pages):
    for page in pages:
        page.set_dpi(300)  # a PDF does not round letters to a coarse grid
        canvas = FigureCanvasAgg(page)
        canvas.draw()
        boxes = [text.get_window_extent(canvas.get_renderer()) for text in page.texts]
        width, height = canvas.get_width_height()
        assert all(box.x0 >= 0 and box.x1 <= width for box in boxes)
        assert all(box.y0 >= 0 and box.y1 <= height for box in boxes)
        known = zip(page.texts, boxes, strict=True)
        rows = sorted((round(t.get_position()[1], 6), b.x0, b.x1) for t, b in known)
        pairs = zip(rows, rows[1:], strict=False)
        beside = [(a[2], b[1]) for a, b in pairs if a[0] == b[0]]
        assert len(beside) > 5 and all(end <= start + 2 for end, start in beside)


def test_every_criterion_and_level_is_told(report, pages):
    told = " ".join(text.get_text() for page in pages for text in page.texts)
    assert all(name in told for name in BANK.criteria)
    level = level_rows(report)[0][1]
    assert all(word in told for word in level.split()) and "<shop>" in told and "$x_1$" in told


def test_the_same_report_gives_the_same_bytes(report):
    made = as_pdf(report)
    assert made == as_pdf(report) and made.rstrip().endswith(b"%%EOF")
    assert made.count(b"/Type /Page ") == len(lay_out(report)) > 3
    assert b"/FontFile2" in made and b"/Type3" not in made, "letters, not drawings of letters"
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", made, re.S)
    texts = [zlib.decompress(one) for one in streams if one[:1] == b"x"]
    assert any(b"BT" in text for text in texts)


@settings(max_examples=80, deadline=None)
@given(some.text(min_size=0, max_size=200), some.floats(30, 300))
def test_no_line_is_wider_than_its_column_and_no_letter_is_lost(text, width):
    text = "".join(c for c in text if c.isprintable() and c.isascii())
    lines = wrap_text(text, width)
    assert all(_width_of(line, 7, False) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
