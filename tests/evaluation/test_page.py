import jinja2
import pytest

from care_tf.evaluation.page import render_page


def test_values_are_escaped_and_the_shared_style_can_be_included(tmp_path):
    template = tmp_path / "page.html.j2"
    template.write_text("<style>{% include 'page_style.css.j2' %}</style><p>{{ text }}</p>")
    page = render_page(template, {"text": "<b> & co", "colors": {"run": "#123456", "baseline": "#654321"}})
    assert "<p>&lt;b&gt; &amp; co</p>" in page
    assert "--run: #123456; --baseline: #654321;" in page


def test_a_value_that_is_missing_is_an_error(tmp_path):
    (tmp_path / "page.html.j2").write_text("{{ text }}")
    with pytest.raises(jinja2.UndefinedError, match="'text' is undefined"):
        render_page(tmp_path / "page.html.j2", {})
