from ._export import export_saved_model

__all__ = ["export_saved_model"]
