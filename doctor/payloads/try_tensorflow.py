"""Sent on stdin to an environment's own Python: imports TensorFlow and its Keras, lists GPUs, lets each do one product.

Answers one JSON line on stdout; whatever TensorFlow itself prints goes to stderr. Standard library and TensorFlow only.
"""

import json
import os
import sys
import time
from typing import Any, Dict

ANSWER = "kdoctor-try:"


def observe() -> "Dict[str, Any]":
    """What TensorFlow says of itself. Keys as ``software.tensorflow.observed`` in the snapshot."""
    facts = {"signal": None, "error": None}  # type: Dict[str, Any]
    started = time.time()
    try:
        import tensorflow as tf
    except BaseException as error:
        facts["error"] = "import tensorflow: %s: %s" % (type(error).__name__, str(error)[:500])
        return facts
    facts["import_seconds"] = round(time.time() - started, 2)
    if not hasattr(tf, "__version__"):  # what an uninstall leaves behind is imported as an empty namespace
        facts["error"] = (
            "import tensorflow: no TensorFlow, but a folder without it: %s"
            % str(list(getattr(tf, "__path__", [])))[:300]
        )
        return facts
    facts["version"] = str(tf.__version__)
    try:
        gpus = [device.name for device in tf.config.list_physical_devices("GPU")]
    except Exception as error:
        facts["error"] = "list_physical_devices: %s: %s" % (type(error).__name__, str(error)[:500])
        return facts
    facts["gpus"] = gpus
    try:
        if not facts["version"].startswith(("0.", "1.")):
            tf.keras.layers.Dense(1)  # Keras is imported when first used: without it TensorFlow starts all the same
    except BaseException as error:
        facts["error"] = "tf.keras: %s: %s" % (type(error).__name__, str(error)[:500])
        return facts
    for index in range(len(gpus)):
        try:
            with tf.device("/GPU:%d" % index):
                tf.linalg.matmul(tf.ones((64, 64)), tf.ones((64, 64))).numpy()
        except Exception as error:
            facts["error"] = "GPU %d: %s: %s" % (index, type(error).__name__, str(error)[:500])
            break
    return facts


def main() -> None:
    """Keep stdout for the answer alone."""
    sys.path[:] = [entry for entry in sys.path if entry]  # a project's own keras.py is not Keras
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    answer.write(ANSWER + json.dumps(observe()) + "\n")
    answer.flush()


if __name__ == "__main__":
    main()
