"""The page of the scoring service as people use it: by keyboard, on a phone, in both languages."""

import pytest

from mlops_lab.foundation.settings import Settings
from mlops_lab.serving.launcher import running_service

pytestmark = pytest.mark.browser
SPOKEN = {
    "English": ("Words that mattered", "Plus speaks for joy", "joy", "sadness", "Thank you"),
    "Español": ("Palabras que pesaron", "a favor de alegría", "alegría", "tristeza", "Gracias"),
}


@pytest.fixture
def service(tmp_path, table_bundle):
    lab = Settings(project=tmp_path, workspace=tmp_path / ".lab")
    with running_service(lab, bundle=table_bundle) as client:
        yield client


def reach(page, name):
    """Go on with the tabulator key until the button of this name has the focus."""
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == name:
            return
    raise AssertionError(f"no key leads to {name!r}")


def test_a_message_is_scored_explained_and_corrected_by_keyboard_alone(browser, service, shoot):
    context = browser.new_context(viewport={"width": 360, "height": 740})
    context.set_default_timeout(20_000)
    said, asked = [], []
    for language, (words, side, label, right, thanks) in SPOKEN.items():
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(service.address)
        page.keyboard.type("a good day, so good")  # the field has the focus
        page.locator("#languages button", has_text=language).focus()
        page.keyboard.press("Enter")
        page.locator("#text").focus()
        page.keyboard.press("Control+Enter")
        page.get_by_text(words).wait_for()
        page.get_by_text(side).wait_for()
        assert page.locator("#bars tr.top th").inner_text() == label
        assert page.locator("#words .word").first.inner_text().startswith("good +")
        origin = page.locator("#origin").inner_text()
        assert "by hand" in origin and "champion" in origin
        reach(page, right)
        page.keyboard.press("Enter")
        page.get_by_text(thanks).wait_for()
        score_id = page.locator("#origin a").inner_text()
        assert service.read(score_id)["feedback"][0]["label"] == "sadness"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("document.documentElement.lang") == language[:2].lower()
        shoot(page, f"demo-{language[:2].lower()}", whole=True)
    assert said == [] and all(url.startswith(service.address) for url in asked)
    context.close()


def test_people_choose_between_several_models(browser, tmp_path, table_bundle, shoot):
    lab = Settings(project=tmp_path, workspace=tmp_path / ".lab")
    bundles = [f"feelings={table_bundle}", f"other={table_bundle}"]
    with running_service(lab, bundle=bundles) as client:
        page = browser.new_context(viewport={"width": 360, "height": 740}).new_page()
        page.set_default_timeout(20_000)
        page.goto(client.address)
        page.get_by_label("Message").fill("a good day")
        assert page.locator("#model option").all_inner_texts() == ["feelings", "other"]
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")  # another model answers at once
        page.get_by_text("model other").wait_for()
        score_id = page.locator("#origin a").inner_text()
        assert client.read(score_id)["model"] == "other"
        page.get_by_label("Model").select_option("feelings")
        page.get_by_text("model feelings").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shoot(page, "demo-several", whole=True)
        page.context.close()
