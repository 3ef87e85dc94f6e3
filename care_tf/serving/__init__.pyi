from ._conversion import convert_to_onnx, convert_to_tflite
from ._export import export_saved_model
from ._predictor import Explanation, Predictor, load

__all__ = ["Explanation", "Predictor", "convert_to_onnx", "convert_to_tflite", "export_saved_model", "load"]
