"""Sent on stdin to an environment's own Python: imports TensorFlow, lists its GPUs and lets each do one small product.

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
    facts["version"] = str(getattr(tf, "__version__", ""))
    try:
        gpus = [device.name for device in tf.config.list_physical_devices("GPU")]
    except Exception as error:
        facts["error"] = "list_physical_devices: %s: %s" % (type(error).__name__, str(error)[:500])
        return facts
    facts["gpus"] = gpus
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
