"""``container:NAME``: a container as it is, running or stopped; nothing is started or changed in it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from doctor.collect import software
from doctor.errors import TargetError
from doctor.images.content.blob import Tell
from doctor.io.containers import Containers
from doctor.targets.exported import exported
from doctor.targets.image import EngineImage, of_engine
from doctor.targets.image_config import home_of, listed, of_inspection, variables
from doctor.targets.overlay import OverlayFileSystem, Redirected, folders_of
from doctor.targets.software import Collected, collected

NO_GPU = ("", "void", "none")


@dataclass(frozen=True)
class Container:
    """A container as its engine describes it; ``image`` is what it was made of, None where that is gone."""

    engine: Containers
    name: str
    inspection: Mapping[str, Any]
    image: EngineImage | None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that its processes are started with."""
        return variables((self.inspection.get("Config") or {}).get("Env"))

    def section(self) -> dict[str, Any]:
        """The contract's ``container``."""
        host = self.inspection.get("HostConfig") or {}
        found: dict[str, Any] = {"gpus_requested": gpus_requested(host, self.environment)}
        if isinstance(host.get("Runtime"), str) and host["Runtime"]:
            found["runtime"] = host["Runtime"]
        return found

    def mounts(self) -> list[dict[str, str]]:
        """The folders that are not the container's own and were not looked at, as gaps."""
        rows = listed(self.inspection.get("Mounts"))
        places = sorted(str(row.get("Destination")) for row in rows if isinstance(row, dict))
        return [{"path": place, "why": "mounted into the container: not looked at"} for place in places[:50]]

    def read(self, tell: Tell) -> Collected:
        """What the collector finds in the container's files.

        Raises:
            TargetError: the files cannot be had.
        """
        folders = folders_of(self.inspection) if self.engine.endpoint.local else None
        if folders is not None:
            try:
                return self._collect(OverlayFileSystem(folders))
            except Redirected:
                tell(0)  # only the engine knows where the files are
        with ExitStack() as stack:
            return self._collect(exported(self.engine, str(self.inspection["Id"]), f"container {self.name}", stack))

    def _collect(self, files: software.FileSystem) -> Collected:
        environ = self.environment
        home = home_of(files, str((self.inspection.get("Config") or {}).get("User") or ""))
        if home is not None:
            environ.setdefault("HOME", home)
        arch = self.image.config.architecture if self.image is not None else None
        return collected(software.collect(files, None, environ, arch=arch), "static")


def find(name: str, engine: Containers | str) -> Container:
    """The container of that name or id.

    Raises:
        TargetError: there is no engine, or none of that name in it.
    """
    if isinstance(engine, str):
        raise TargetError(f"container {name}: {engine}")
    inspection = engine.container(name)
    found = engine.image(str(inspection.get("Image", "")))
    word = str((inspection.get("Config") or {}).get("Image") or inspection.get("Image"))
    image = of_engine(engine, found, of_inspection(found), word) if found is not None else None
    return Container(engine, name, inspection, image)


def gpus_requested(host: Mapping[str, Any], environment: Mapping[str, str]) -> bool:
    """Whether GPUs were asked for: ``--gpus``, CDI devices, device nodes, or the NVIDIA runtime with its variable."""
    for request in listed(host.get("DeviceRequests")):
        if not isinstance(request, dict):
            continue
        words = [request.get("Driver"), *(w for row in listed(request.get("Capabilities")) for w in listed(row))]
        words += [str(one) for one in listed(request.get("DeviceIDs"))]
        if any(str(word) in ("gpu", "nvidia") or str(word).startswith("nvidia.com/gpu") for word in words):
            return True
    for device in listed(host.get("Devices")):
        if isinstance(device, dict) and str(device.get("PathOnHost", "")).startswith("/dev/nvidia"):
            return True
    return host.get("Runtime") == "nvidia" and environment.get("NVIDIA_VISIBLE_DEVICES", "") not in NO_GPU
