"""A local page on which a person corrects boxes."""

import lazy_loader

from care_tf.extras import require_extra

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

require_extra(__name__, "boxes", "flask")
