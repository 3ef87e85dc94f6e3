"""What automatic boxes cost: images per second and processor of DSR and BMS, and the milliseconds of DSR's steps.

The images are made up (a soft dark lesion on noisy skin), one size for all; one thread, variants taking turns; medians
of processor time, the steadier clock on a shared machine.

Example: python benchmarks/saliency_speed.py --width 300 --height 225
"""

import argparse
import os
from collections.abc import Callable

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before NumPy is imported: its BLAS asks once

import numpy as np  # noqa: E402
from records import add_output, records_of, write_records  # noqa: E402
from rounds import in_turns  # noqa: E402


def lesion_images(num_images: int, height: int, width: int) -> list[np.ndarray]:
    """uint8 (H,W,3) RGB images: an ellipse of another size and place in each."""
    import cv2

    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    images = []
    for _ in range(num_images):
        center = rng.uniform(0.35, 0.65, 2) * (width, height)
        radii = rng.uniform(0.1, 0.35, 2) * (width, height)
        inside = ((columns - center[0]) / radii[0]) ** 2 + ((rows - center[1]) / radii[1]) ** 2 <= 1
        weight = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), width / 60)[..., np.newaxis]
        texture = cv2.resize(rng.normal(0, 12, (height // 4, width // 4, 3)), (width, height))
        image = np.array([215, 165, 150]) * (1 - weight) + np.array([130, 80, 70]) * weight + texture
        images.append(np.clip(image, 0, 255).astype(np.uint8))
    return images


def measure(
    methods: dict[str, Callable[[np.ndarray], object]], images: list[np.ndarray], num_rounds: int
) -> dict[str, list[float]]:
    """Processor seconds per image of each method in every round."""
    calls = {name: lambda method=method: [method(image) for image in images] for name, method in methods.items()}
    taken = in_turns(calls, num_rounds)
    return {name: [each.processor / len(images) for each in rounds] for name, rounds in taken.items()}


def dsr_steps(image: np.ndarray, num_iterations: int) -> dict[str, Callable[[np.ndarray], object]]:
    """DSR's steps at the image's own size, each on what the one before it gave."""
    from care_tf.boxes.saliency import _superpixels
    from care_tf.boxes.saliency._bayesian import integrate
    from care_tf.boxes.saliency._dsr import reconstruction_errors
    from care_tf.boxes.saliency._frame import dark_frame
    from care_tf.boxes.saliency._hair import without_hair
    from care_tf.boxes.saliency._pixel_saliency import pixel_saliency
    from care_tf.boxes.saliency._propagation import propagated_errors
    from care_tf.boxes.saliency._reconstruction import dense_error, sparse_errors

    field = np.ones(image.shape[:2], bool)
    lab = _superpixels.lab_image(image)
    features = _superpixels.pixel_features(image, lab, field)
    labels = [_superpixels.superpixel_labels(lab, field, *scale, num_iterations) for scale in _superpixels.SCALES]
    means = [_superpixels.superpixel_features(features, own) for own in labels]
    is_background = [_superpixels.touches_edge(own) for own in labels]
    errors = reconstruction_errors(means, is_background)
    mixed = np.split(
        propagated_errors(np.concatenate(errors), np.concatenate(means)), np.cumsum([len(own) for own in means])[:-1]
    )
    maps = pixel_saliency(features, labels, means, mixed)

    def of_every_scale(step):
        return lambda _: [step(*pair) for pair in zip(means, is_background, strict=True)]

    return {
        "dark frame": dark_frame,
        "hair": without_hair,
        "Lab, pixel features": lambda _: _superpixels.pixel_features(image, _superpixels.lab_image(image), field),
        "superpixels": lambda _: [
            _superpixels.superpixel_labels(lab, field, *scale, num_iterations) for scale in _superpixels.SCALES
        ],
        "superpixel features": lambda _: [_superpixels.superpixel_features(features, own) for own in labels],
        "dense error": of_every_scale(dense_error),
        "sparse error": lambda _: sparse_errors(means, is_background),
        "propagation": lambda _: propagated_errors(np.concatenate(errors), np.concatenate(means)),
        "pixel map, Gaussian": lambda _: pixel_saliency(features, labels, means, mixed),
        "integration": lambda _: integrate(maps[..., 0], maps[..., 1]),
    }


def main() -> None:
    """Prints one line per method and per step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=300, help="of the images, px (default 300)")
    parser.add_argument("--height", type=int, default=225, help="of the images, px (default 225)")
    parser.add_argument("--images", type=int, default=5, help="images per round (default 5)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that count (default 3)")
    add_output(parser)
    arguments = parser.parse_args()
    import cv2

    from care_tf.boxes.saliency._bms import bms_saliency
    from care_tf.boxes.saliency._dsr import PLAIN_RECIPE, dsr_saliency

    cv2.setNumThreads(1)
    images = lesion_images(arguments.images, arguments.height, arguments.width)
    methods = {
        "DSR": dsr_saliency,
        "DSR, plain recipe": lambda image: dsr_saliency(image, **PLAIN_RECIPE),
        "BMS": bms_saliency,
    }
    case = f"{arguments.width} x {arguments.height} px, one thread"
    found = records_of(
        "saliency_speed", case, "processor s an image", measure(methods, images, arguments.rounds), "BMS"
    )
    print(case)
    print(f"{'':<22}{'images/s':>10}{'ms/image':>10}")
    for each in found:
        print(f"{each['variant']:<22}{1 / each['median']:>10.1f}{1000 * each['median']:>10.0f}")
    print("steps of the plain recipe, all eight scales, and what may come before it")
    steps = measure(dsr_steps(images[0], 10), images[:1], arguments.rounds)
    found_steps = records_of("saliency_speed", f"{case}, steps", "processor s an image", steps, "dense error")
    for each in found_steps:
        print(f"{each['variant']:<22}{'':>10}{1000 * each['median']:>10.1f}")
    write_records(arguments.output, found + found_steps)


if __name__ == "__main__":
    main()
