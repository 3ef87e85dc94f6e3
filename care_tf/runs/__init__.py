"""Whole runs: the one place that knows every part. A configuration becomes a run folder, a run folder a report."""

import lazy_loader

from care_tf.extras import require_extra

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

require_extra(__name__, "runs", "jinja2", "matplotlib", "pandas", "pydantic", "sklearn", "yaml")
