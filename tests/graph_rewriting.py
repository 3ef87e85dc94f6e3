"""TensorFlow's rewriting of graphs (Grappler): nearly half of what a first step costs, in most tests for nothing."""

import contextlib

import tensorflow as tf


def switch(is_on):
    """Switches it for what is traced from now on in this process."""
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": not is_on})


@contextlib.contextmanager
def rewritten_graphs():
    """Inside, graphs are rewritten as they are for users."""
    switch(True)
    try:
        yield
    finally:
        switch(False)
