from ._pools import open_pool
from ._streaming import stream_results
from ._workers import Workers

__all__ = ["Workers", "open_pool", "stream_results"]
