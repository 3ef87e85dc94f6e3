from .opening import open_review
from .server import serve_review

__all__ = ["open_review", "serve_review"]
