"""Where a run trains: one device, several of this machine, or several machines with a process on each."""

import contextlib
import functools
import getpass
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import keras
import tensorflow as tf

from care_tf import keras_generation
from care_tf.data.replica_share import ReplicaShare
from care_tf.errors import InputError
from care_tf.file_lock import open_locked
from care_tf.network.observation import walk_layers
from care_tf.replicas import number_of_replicas
from care_tf.runs._joining import wait_for_workers
from care_tf.runs._progress import CHECKPOINTS, Progress
from care_tf.runs._tf_config import EXAMPLE, WorkerGroup, read_tf_config
from care_tf.runs.config import TrainingConfig

# What TensorFlow raises on the others when a process is gone, whichever of them notices first; it raises the same where
# the network or a storage of files does not answer.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)
SECONDS_TO_JOIN = 600  # machines of a cluster start one after the other, and load images of containers


class WorkerLostError(InputError):
    """Another process is gone or never came, or something else did not answer: nothing is wrong with the input."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h


@contextlib.contextmanager
def distributed(training: TrainingConfig) -> Iterator[None]:
    """Inside, models and batches are those of the devices that `training.distribution` means.

    Several workers must be asked for before TensorFlow computes anything; they wait for each other, 600 s at most.
    Inside another block nothing changes.

    Raises:
      InputError: TF_CONFIG does not name the workers, or a setting needs one device.
      WorkerLostError: Another worker is gone, or does not come; or a storage of files does not answer.
    """
    meant = _meant(training.distribution)
    if meant == "none":
        yield
        return
    if training.jit_compile:
        raise InputError(
            "training.jit_compile=true compiles a step for one device. Received it with training.distribution="
            f"{meant}. Leave one of them out."
        )
    try:
        with _strategy(meant).scope():
            yield
    except _LOST as error:
        if meant != "multiworker":
            raise
        raise WorkerLostError(
            "A worker of this run is gone, and the others cannot go on without it. Received "
            f"{type(error).__name__} from TensorFlow. Start all of them again with the same commands: the run "
            "continues after its last finished epoch. If none is gone, something else did not answer, such as the "
            f"storage of the data; TensorFlow says: {_words(error)}"
        ) from error


def _words(error: tf.errors.OpError) -> str:
    """The first line of a message that tells no trace of a graph."""
    trace = ("Graph execution error:", "Detected at node ", "<stack traces unavailable>", " ", "\t")
    lines = [line for line in error.message.splitlines() if line and not line.startswith(trace)]
    return lines[0] if lines else error.message


def is_chief(training: TrainingConfig) -> bool:
    """Whether this process writes: the first worker, and every process that has no others beside it."""
    return _meant(training.distribution) != "multiworker" or _group().number == 0


@contextlib.contextmanager
def written_folder(run_folder: Path, training: TrainingConfig) -> Iterator[Path]:
    """The folder that this process writes a run to: the chief the run's own, every other worker one that is deleted.

    So all of them do the same, as TensorFlow needs them to, and one run folder comes of it.

    Raises:
      InputError: The same worker of this run is already at work on this machine.
    """
    if is_chief(training):
        yield run_folder
        return
    # Always the same one: what a killed worker left there is removed when it is started again.
    key = f"{getpass.getuser()} {run_folder.resolve()} {_group().number}"
    folder = Path(tempfile.gettempdir()) / f"care_worker_{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    lock = folder.with_name(f"{folder.name}.lock")
    with open_locked(lock, str(run_folder)):
        try:
            if folder.exists():
                shutil.rmtree(folder)
            folder.mkdir(mode=0o700)
            if (run_folder / CHECKPOINTS).exists():
                shutil.copytree(run_folder / CHECKPOINTS, folder / CHECKPOINTS)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlink(missing_ok=True)


def agree(progress: Progress) -> None:
    """Waits for all workers, and refuses to go on where they train different runs, or stand at different epochs.

    Raises:
      InputError: They do; at different epochs stand those that do not see the same folder.
    """
    if not _is_multiworker():
        return
    strategy = tf.distribute.get_strategy()
    run = int(hashlib.sha256("".join(progress.fingerprints).encode()).hexdigest()[:7], 16)  # an int32
    own = tf.constant([[progress.stage, progress.epoch, run]])
    every = strategy.gather(strategy.experimental_distribute_values_from_function(lambda _: own), axis=0).numpy()
    check_agreement(every.tolist())


def check_agreement(every: list[list[int]]) -> None:
    """Raises an InputError where (stage, epoch, number of the run) are not the same for all workers."""
    runs = [run for _, _, run in every]
    if len(set(runs)) > 1:
        raise InputError(
            "All workers must train the same run, with the same settings and data. Received workers of different runs: "
            f"{', '.join(f'{run:07x}' for run in runs)}, in the order of TF_CONFIG. Start all of them with the same "
            "command and data."
        )
    if len(set(map(tuple, every))) > 1:
        places = ", ".join(f"stage {stage + 1} epoch {epoch}" for stage, epoch, _ in every)
        raise InputError(
            "All workers must see the same output folder, from whose checkpoints they continue. Received workers at "
            f"{places}. Let output be on a file system that all of them share."
        )


def batches_for_replicas(make: Callable[[ReplicaShare | None], tf.data.Dataset]) -> tf.data.Dataset:
    """The data set of a share for each process's replicas; of whole batches on one device."""
    if number_of_replicas() == 1:
        return make(None)

    def own(context: tf.distribute.InputContext) -> tf.data.Dataset:
        count = context.num_replicas_in_sync // context.num_input_pipelines
        return make(ReplicaShare(context.input_pipeline_id * count, count, context.num_replicas_in_sync))

    return tf.distribute.get_strategy().distribute_datasets_from_function(own)


@contextlib.contextmanager
def synchronized_statistics(models: Iterable[keras.Model]) -> Iterator[None]:
    """Inside, batch normalization takes the statistics of all replicas' images, as one device would."""
    if number_of_replicas() == 1:
        yield
        return
    layers = {id(layer): layer for model in models for _, layer in walk_layers(model)}.values()
    restore = [keras_generation.synchronize(each) for each in layers if isinstance(each, _BatchNormalization)]
    try:
        yield
    finally:
        for step in restore:
            step()


_BatchNormalization = keras.layers.BatchNormalization


def _meant(name: str) -> str:
    if name != "auto":
        return name
    if len(_group().addresses) > 1:
        return "multiworker"
    return "mirrored" if len(tf.config.list_physical_devices("GPU")) > 1 else "none"


@functools.cache  # a process can join its workers once only
def _strategy(name: str) -> tf.distribute.Strategy:
    if name == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    group = _group()
    if not group.addresses:
        raise InputError(
            "training.distribution=multiworker needs the environment variable TF_CONFIG, which lists all workers and "
            f"says which of them this process is: {EXAMPLE}. Received TF_CONFIG={os.environ.get('TF_CONFIG')!r}. "
            "docs/scaling.md shows how."
        )
    missing = wait_for_workers(group, SECONDS_TO_JOIN)
    if missing:
        raise WorkerLostError(
            f"All workers that TF_CONFIG lists must be started within {SECONDS_TO_JOIN:g} s. Received no answer from "
            f"{', '.join(f'{address} ({why})' for address, why in missing.items())}. Correct the address, or open the "
            "port between the machines, where one is wrong or closed, and start all of them again with the same "
            "commands: the run continues after its last finished epoch."
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


def _is_multiworker() -> bool:
    return isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy)


def _group() -> WorkerGroup:
    return read_tf_config(os.environ.get("TF_CONFIG"))
