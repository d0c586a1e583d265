"""The deterministic, seeded Dense training that tells two environments apart."""
