"""The pages load nothing from elsewhere and speak both languages."""

import base64
import hashlib
import json
import re

import pytest

from mlops_lab.serving.pages import demo_page, docs_page, openapi_record


@pytest.mark.parametrize("page", [demo_page("en"), demo_page("es"), docs_page()])
def test_nothing_comes_from_elsewhere(page):
    text = page.body.decode()
    assert not re.findall(r"(?:https?:)?//[a-z]", text)
    assert "src=" not in text and '<link rel="icon" href="data:,">' in text
    assert "TEXTS" not in text and "LANGUAGE" not in text and "<!--" not in text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_the_policy_allows_exactly_the_pages_own_script():
    page = demo_page("es")
    script = re.search(r"<script>(.*?)</script>", page.body.decode(), re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page.headers["content-security-policy"]


def test_both_languages_have_every_text_the_page_asks_for():
    text = demo_page().body.decode()
    texts = json.loads(re.search(r"const allTexts = (\{.*\});", text).group(1))
    asked = set(re.findall(r'data-text="(\w+)"', text)) | set(
        re.findall(r"(?:texts\(\)|\bt)\.(\w+)", text)
    )
    assert asked - {"length"} <= set(texts["en"]) == set(texts["es"])
    for language in ("en", "es"):
        assert all(texts[language].values()) and len(texts[language]["example"]) == 3


def test_the_page_is_made_for_phones_and_dark_rooms():
    text = demo_page().body.decode()
    assert "width=device-width" in text and "prefers-color-scheme: dark" in text
    assert 'aria-live="polite"' in text and '<label for="text"' in text


def test_the_docs_show_every_route_of_the_record():
    record, text = json.loads(openapi_record()), docs_page().body.decode()
    for path, methods in record["paths"].items():
        for method in methods:
            assert f"<h2>{method.upper()} {path}</h2>" in text
