from ._box_overlap import best_fixed_centered_box, box_coverage, mask_coverage, union_iou
from .quality import judge_boxes
from .quality_report import write_box_quality

__all__ = ["best_fixed_centered_box", "box_coverage", "judge_boxes", "mask_coverage", "union_iou", "write_box_quality"]
