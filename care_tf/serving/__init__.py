"""From a trained model to a file that needs TensorFlow and nothing else."""

from care_tf.serving.export import export_saved_model

__all__ = ["export_saved_model"]
