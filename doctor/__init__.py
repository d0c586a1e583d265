"""kdoctor: the environment doctor and reproducibility auditor for TensorFlow and Keras."""

__version__ = "0.1.0"
