"""The page of the scoring service as people use it: by keyboard, on a phone, in both languages."""

from dataclasses import replace

import numpy as np
import pytest

from mlops_lab.foundation.settings import Settings
from mlops_lab.models.bag_model import BagModel
from mlops_lab.models.bundle import load_bundle, save_bundle
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


@pytest.fixture
def several_bundle(tmp_path, table_bundle):
    """The bundle by hand, now with twelve labels of which a text may have several, or none."""
    bundle = load_bundle(table_bundle)
    names = ["joy", "sadness", *(f"label {number}" for number in range(10))]
    weights = np.zeros((len(bundle.model.table), 12), np.float32)
    weights[:, :2] = 20 * bundle.model.table
    model = BagModel(weights, np.full(12, -3.0, np.float32), several=True)
    card = bundle.card | {"labels": names, "thresholds": [0.5] * 12, "several": True}
    return save_bundle(replace(bundle, card=card, model=model), tmp_path / "several")


def test_all_labels_of_a_text_are_shown_and_corrected(browser, tmp_path, several_bundle, shoot):
    lab = Settings(project=tmp_path, workspace=tmp_path / ".lab")
    with running_service(lab, bundle=several_bundle) as client:
        page = browser.new_context(viewport={"width": 360, "height": 740}).new_page()
        page.set_default_timeout(20_000)
        page.goto(client.address)
        page.keyboard.type("a good day and a bad day")
        page.keyboard.press("Control+Enter")
        page.get_by_text("Each label has its own threshold").wait_for()
        given = page.locator("#given .word").all_inner_texts()
        assert sorted(given) == sorted(page.locator("#bars tr.top th").all_inner_texts())
        assert sorted(given) == ["joy", "sadness"] and page.locator("#bars tr").count() == 8
        reach(page, "Show all 12")
        page.keyboard.press("Enter")
        assert page.locator("#bars tr").count() == 12
        for name in ("sadness", "label 3"):  # one is taken back, one is added
            reach(page, name)
            page.keyboard.press("Enter")
        page.locator("#languages button", has_text="Español").click()
        assert page.locator("#choices [aria-pressed=true]").all_inner_texts() == [
            "alegría",
            "label 3",
        ]
        page.get_by_role("button", name="Enviar estos").press("Enter")
        page.get_by_text("Gracias").wait_for()
        stored = client.read(page.locator("#origin a").inner_text())
        assert sorted(stored["labels"]) == ["joy", "sadness"]
        assert stored["feedback"][0]["label"] == "joy|label 3"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        shoot(page, "demo-label-sets", whole=True)
        page.locator("#text").fill("nothing of this is known")
        page.keyboard.press("Control+Enter")
        page.get_by_text("Ninguna etiqueta es bastante segura").wait_for()
        page.get_by_role("button", name="Enviar estos").click()
        page.get_by_text("Ninguno de estos").wait_for()
        stored = client.read(page.locator("#origin a").inner_text())
        assert stored["labels"] == [] and stored["feedback"][0]["label"] == ""
