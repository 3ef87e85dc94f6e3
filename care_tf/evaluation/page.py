"""From a template to a page of HTML, in the style that all reports share."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from care_tf.extras import require_extra

require_extra(__name__, "runs", "jinja2")


def render_page(template: str | os.PathLike, values: Mapping[str, Any]) -> str:
    """Fills in a page.

    Args:
      template: A Jinja template; it may include `page_style.css.j2`, which needs `colors.run` and `colors.baseline`,
        and other templates of its own folder.
      values: What it refers to, by name; a missing one is an error. Text is escaped.

    Returns:
      The page as text.
    """
    import jinja2

    template = Path(template)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, Path(__file__).parent]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template.name).render(values)
