from ._conversion import convert_to_onnx, convert_to_tflite
from ._export import export_saved_model

__all__ = ["convert_to_onnx", "convert_to_tflite", "export_saved_model"]
