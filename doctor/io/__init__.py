"""The only modules that touch the outside: processes, NVML, the container engine, registries."""
