"""The rules of kdoctor, one file a family. Installed, and imported, as ``doctor.rules``."""
