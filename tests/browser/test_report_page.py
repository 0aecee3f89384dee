"""The report of a run as a person sees it: readable in light and dark, nothing from elsewhere."""

import pytest

from mlops_lab.foundation.chain import ChainLog
from mlops_lab.pipeline.history import find_run
from mlops_lab.pipeline.report import write_report

pytestmark = pytest.mark.browser


@pytest.fixture
def report(lab):
    """The page of a run with a stage that failed."""
    log = ChainLog(lab.ledger)
    log.append("run-started", {"run": "one", "pipeline": "demo"})
    facts = {"run": "one", "stage": "train", "state": "kernel died", "seconds": 2.5}
    log.append("stage", facts | {"reason": "the kernel died in cell 3"})
    log.append("run-finished", {"run": "one", "state": "failed", "seconds": 2.5})
    return write_report(lab, find_run(lab), title="A demonstration")


def luminance(colour):
    """Brightness of a CSS colour such as rgb(251, 250, 247), from 0 to 255."""
    numbers = colour[colour.index("(") + 1 : -1].split(",")[:3]
    return sum(float(number) for number in numbers) / 3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_is_readable(browser, report, scheme):
    page = browser.new_page(color_scheme=scheme, viewport={"width": 390, "height": 800})
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(report.as_uri())
    ask = "getComputedStyle(document.body).{}"
    background, ink = (page.evaluate(ask.format(name)) for name in ("backgroundColor", "color"))
    assert abs(luminance(background) - luminance(ink)) > 150
    assert (luminance(background) > 128) == (scheme == "light")
    assert page.get_by_text("the kernel died in cell 3").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert asked == [report.as_uri()] and said == []
    page.close()
