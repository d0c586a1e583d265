"""The container engine through its socket file, for a node where nothing may be installed.

One stdlib-only file for CPython 3.6 and later that imports nothing of doctor: two GET requests over a unix socket, and
what a snapshot takes of the answers. The doctor asks through the docker SDK (`doctor.io.engine`) and shares `describe`.
"""

import json
import os
import socket
import stat

TYPE_CHECKING = False  # typing itself need not be imported on the node
if TYPE_CHECKING:
    from typing import Any, Dict, List, Mapping

SECONDS = 1.0
MAX_ANSWER = 4 << 20
MAX_LIST = 256
MAX_FIELD = 200


def usual_sockets(environ: "Mapping[str, str]") -> "List[str]":
    """Where engines listen: Docker, rootless Docker, Docker Desktop, podman as root and as this user."""
    user = "/run/user/%d" % os.getuid() if hasattr(os, "getuid") else ""
    runtime, home = environ.get("XDG_RUNTIME_DIR") or user, environ.get("HOME")
    paths = ["/var/run/docker.sock"]
    paths += [runtime + "/docker.sock"] if runtime else []
    paths += [home + "/.docker/run/docker.sock", home + "/.docker/desktop/docker.sock"] if home else []
    paths += ["/run/podman/podman.sock"]
    return paths + ([runtime + "/podman/podman.sock"] if runtime else [])


def is_socket(path: str) -> bool:
    """Whether there is a socket file at `path`."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


def describe(version: "Mapping[str, Any]", info: "Mapping[str, Any]") -> "Dict[str, Any]":
    """`machine.engine` out of the API's /version and /info, without what only files tell."""
    components = version.get("Components")
    components = components if isinstance(components, list) else []
    names = [str(part.get("Name", "")).lower() for part in components if isinstance(part, dict)]
    result = {"name": "podman" if any("podman" in name for name in names) else "docker"}  # type: Dict[str, Any]
    for key, value in (
        ("version", version.get("Version")),
        ("default_runtime", info.get("DefaultRuntime")),
        ("cgroup_driver", info.get("CgroupDriver")),
    ):
        if isinstance(value, str) and value:
            result[key] = value[:MAX_FIELD]
    runtimes = info.get("Runtimes")
    if isinstance(runtimes, dict):
        result["runtimes"] = sorted(str(name)[:MAX_FIELD] for name in runtimes)[:MAX_LIST]
    discovered = info.get("DiscoveredDevices")  # Docker 28.3 and later
    if isinstance(discovered, list):
        devices = [d.get("ID") for d in discovered if isinstance(d, dict) and d.get("Source", "cdi") == "cdi"]
        result["cdi_devices"] = sorted(str(device)[:MAX_FIELD] for device in devices if device)[:MAX_LIST]
    return result


def _get(path: str, question: str, seconds: float) -> "Dict[str, Any]":
    import http.client  # 20 ms that only a machine with an engine need spend

    connection = http.client.HTTPConnection("localhost", timeout=seconds)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(seconds)
        connection.sock.connect(path)
        connection.request("GET", question, headers={"Connection": "close"})
        answer = connection.getresponse()
        data = json.loads(answer.read(MAX_ANSWER).decode("utf-8"))
        if answer.status != 200 or not isinstance(data, dict):
            raise ValueError("it answered %d" % answer.status)
        return data
    except http.client.HTTPException as error:
        raise ValueError(str(error)) from error
    finally:
        connection.close()


def ask(environ: "Mapping[str, str]", seconds: float = SECONDS) -> "Dict[str, Any]":
    """`machine.engine` from the first usual socket that exists; {"present": False} without one. Never raises.

    `seconds` is the time limit of each step of the conversation.
    """
    for path in usual_sockets(environ):
        if not is_socket(path):
            continue
        try:
            version, info = _get(path, "/version", seconds), _get(path, "/info", seconds)
        except socket.timeout:
            return {"missing": "unix://%s: no answer in time" % path}
        except OSError as error:
            return {"missing": "unix://%s: %s" % (path, error.strerror or error)}
        except ValueError as error:
            return {"missing": "unix://%s: the answer is not the Docker API's: %s" % (path, str(error)[:MAX_FIELD])}
        result = {"present": True, "endpoint": "unix://" + path}  # type: Dict[str, Any]
        result.update(describe(version, info))
        return result
    return {"present": False}
