"""The incident that kdoctor exists for: two digests of one image, and the second trains another model."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from doctor.io.containers import LABEL
from tests.e2e.engine import PYTHON, Daemon, RegistryServer, pack

pytest_plugins = ["tests.e2e.engine"]
pytestmark = pytest.mark.e2e

ROOT = Path(__file__).resolve().parents[2]
DENSE = "keras/src/layers/core/dense.py"
DEFAULT = 'kernel_initializer="glorot_uniform"'


@pytest.fixture(scope="module")
def digests(
    daemon: Daemon,
    registry: RegistryServer,
    tensorflow_images: dict[str, str],
    tensorflow_environments: dict[str, Path],
) -> dict[str, str]:
    """Three images in one repository, by digest: as built, built again with the same files, and patched on purpose.

    The patch edits Keras' own file. No release of Keras is known to have this default.
    """
    name, before = sorted(tensorflow_images.items())[0]
    original = (tensorflow_environments[name].parent.parent / f"lib/{PYTHON}/site-packages" / DENSE).read_text()
    assert original.count(DEFAULT) == 1
    patched = original.replace(DEFAULT, DEFAULT.replace("glorot_uniform", "he_normal"))
    images = {
        "before": before,
        "again": daemon.commit(before, "kdoctor-e2e/again:1", ["LABEL org.example.build=2"]),
        "patched": daemon.commit(
            before,
            "kdoctor-e2e/patched:1",
            [],
            pack({f"opt/venv/lib/{PYTHON}/site-packages/{DENSE}": patched.encode()}),
        ),
    }
    remote = f"{registry.host}/team/trainer"
    return {name: f"{remote}@{_push(daemon, image, remote, name)}" for name, image in images.items()}


def _push(daemon: Daemon, image: str, remote: str, tag: str) -> str:
    daemon.client.api.tag(image, remote, tag)
    for line in daemon.client.api.push(remote, tag, stream=True, decode=True):
        assert "error" not in line, line
        if "Digest" in (line.get("aux") or {}):
            digest = str(line["aux"]["Digest"])
    return digest


def kdoctor(daemon: Daemon, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {**daemon.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "doctor", *arguments]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=600, check=False)


def compare(daemon: Daemon, *arguments: str, cwd: Path) -> tuple[int, dict[str, Any]]:
    """Exit code and report of a comparison."""
    run = kdoctor(daemon, "compare", *arguments, "--format", "json", cwd=cwd)
    assert run.stdout, run.stderr
    return run.returncode, json.loads(run.stdout)


def left_behind(daemon: Daemon) -> list[str]:
    return [row["Id"] for row in daemon.client.api.containers(all=True, filters={"label": LABEL})]


def test_the_patched_digest_is_told_from_the_other(daemon: Daemon, digests: dict[str, str], tmp_path: Path) -> None:
    """Exit 1; the finding names the initializer, from and to; no container is left."""
    code, report = compare(daemon, digests["before"], digests["patched"], cwd=tmp_path)
    assert (code, report["verdict"]) == (1, "fail"), report["notes"]
    found = next(finding for finding in report["findings"] if finding["code"] == "KD802")
    assert "glorot_uniform" in found["message"]
    assert "he_normal" in found["message"]
    cause = next(cause for cause in report["drift"]["causes"] if cause["what"] == "initializer")
    assert any("installed file" in suspect for suspect in cause["suspects"]), cause
    assert left_behind(daemon) == []


def test_two_identical_builds_are_bitwise(daemon: Daemon, digests: dict[str, str], tmp_path: Path) -> None:
    """Another digest with the same contents: exit 0, bit for bit."""
    code, report = compare(daemon, digests["before"], digests["again"], cwd=tmp_path)
    assert (code, report["drift"]["class"]) == (0, "bitwise"), report["notes"]


def test_static_compare_of_two_cached_digests(daemon: Daemon, digests: dict[str, str], tmp_path: Path) -> None:
    """--no-canary runs nothing: the packages are the same, and only the digest tells the images apart."""
    code, report = compare(daemon, digests["before"], digests["patched"], "--no-canary", cwd=tmp_path)
    assert (code, report["drift"]) == (0, None)
    assert "image.digest" in {row["name"] for row in report["changes"]}


def test_a_digest_that_nobody_has(daemon: Daemon, digests: dict[str, str], tmp_path: Path) -> None:
    """One line on stderr, exit 3."""
    missing = digests["before"].rpartition(":")[0] + ":" + "0" * 64
    run = kdoctor(daemon, "compare", digests["before"], missing, cwd=tmp_path)
    assert (run.returncode, run.stdout) == (3, "")
    assert run.stderr.count("\n") == 1


OLD_NODE = {
    "schema": 1,
    "subject": {"kind": "host", "name": "old"},
    "machine": {
        "name": "old",
        "os": "linux",
        "architecture": "x86_64",
        "pci_gpus": ["10de:20b0"],
        "gpus": [{"index": 0, "name": "NVIDIA A100-SXM4-40GB", "compute_capability": "8.0", "mig": False}],
        "driver": {"present": True, "version": "470.82.01", "cuda_version": "11.4"},
    },
}
CUDA_BUILD = (
    "import collections\nbuild_info = collections.OrderedDict([('cpu_compiler', 'clang'), "
    "('cuda_compute_capabilities', "
    "['sm_50', 'sm_60', 'sm_70', 'sm_75', 'compute_80']), ('cuda_version', '12.2'), ('cudnn_version', '8'), "
    "('is_cuda_build', True), ('is_rocm_build', False), ('is_tensorrt_build', True)])\n"
)


class Sample:
    """A project whose gate passes: its image by digest, in a registry, and the accepted reference of that image."""

    def __init__(self, daemon: Daemon, folder: Path, image: str) -> None:
        self.daemon, self.folder, self.image = daemon, folder, image
        self.dockerfile(f"FROM {image}\n")
        self.policy()

    def dockerfile(self, text: str) -> None:
        (self.folder / "Dockerfile").write_text(text)

    def policy(self, more: str = "", image: str = "") -> None:
        """The policy: this image (the sample's own where not given), the reference, and further keys."""
        keys = f'reference = "kdoctor-reference.json"\nimages = ["{image or self.image}"]\nignore = ["KD309"]\n'
        (self.folder / "kdoctor.toml").write_text(keys + more)

    def node(self, version: str, cuda: str) -> None:
        machine = {**OLD_NODE["machine"], "driver": {"present": True, "version": version, "cuda_version": cuda}}
        (self.folder / "node.json").write_text(json.dumps({**OLD_NODE, "machine": machine}))

    def gate(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        run = kdoctor(self.daemon, "gate", *arguments, "--format", "json", cwd=self.folder)
        assert run.stdout, run.stderr
        report = json.loads(run.stdout)
        assert (report["verdict"], run.returncode) in (("pass", 0), ("fail", 1), ("incomplete", 3))
        return run.returncode, report


@pytest.fixture(scope="module")
def accepted(daemon: Daemon, digests: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reference that the gate itself wrote, of the unpatched image."""
    sample = Sample(daemon, tmp_path_factory.mktemp("accepted"), digests["before"])
    run = kdoctor(daemon, "gate", "--update-reference", "--reason", "first", "--by", "t", cwd=sample.folder)
    assert run.returncode == 0, run.stderr
    return sample.folder / "kdoctor-reference.json"


@pytest.fixture
def sample(daemon: Daemon, digests: dict[str, str], accepted: Path, tmp_path: Path) -> Sample:
    """The sample project; its registry is asked."""
    shutil.copy(accepted, tmp_path)
    return Sample(daemon, tmp_path, digests["before"])


def codes(report: dict[str, Any]) -> set[str]:
    return {finding["code"] for finding in report["findings"] if finding["severity"] != "info"}


def test_the_sample_passes_and_fails_by_drift(sample: Sample, digests: dict[str, str]) -> None:
    """Everything runs: image, registry, canary. Exit 0; with the patched digest exit 1, which names the class."""
    code, report = sample.gate()
    assert (code, codes(report)) == (0, set()), report["notes"]
    assert [row["drift"] for row in report["cases"] if row["drift"]] == ["bitwise"]
    sample.policy(image=digests["patched"])
    code, report = sample.gate()
    assert code == 1
    row = next(row for row in report["cases"] if row["subject"] == digests["patched"])
    assert (row["verdict"], row["drift"], row["accuracy"]) == ("fail", "default-changed", "drift")
    assert left_behind(sample.daemon) == []


def test_a_moved_tag_fails_it(sample: Sample, digests: dict[str, str], daemon: Daemon) -> None:
    """The lock says which image the tag named; somebody pushes another one under it: KD407, exit 1."""
    remote = sample.image.partition("@")[0]
    sample.dockerfile(f"FROM {remote}:again\n")
    sample.policy('[[suppressions]]\ncode = "KD403"\nreason = "the lock holds it"\n')
    assert kdoctor(daemon, "pin", "--lock", cwd=sample.folder).returncode == 0
    code, report = sample.gate("--no-canary")
    assert (code, codes(report)) == (0, set()), report["findings"]
    _push(daemon, "kdoctor-e2e/patched:1", remote, "again")
    try:
        code, report = sample.gate("--no-canary")
    finally:
        _push(daemon, "kdoctor-e2e/again:1", remote, "again")
    assert (code, codes(report)) == (1, {"KD407"})


def test_a_missing_digest_fails_it(sample: Sample) -> None:
    """No digest at all: denied, exit 1. One that the registry does not have: KD405, exit 1."""
    remote = sample.image.partition("@")[0]
    sample.dockerfile(f"FROM {remote}:before\n")
    code, report = sample.gate("--no-canary")
    assert (code, codes(report)) == (1, {"KD403"})
    sample.dockerfile(f"FROM {remote}@sha256:{'0' * 64}\n")
    code, report = sample.gate("--no-canary")
    assert (code, codes(report)) == (1, {"KD405"})


def test_an_image_of_the_policy_that_nobody_has_is_not_green(sample: Sample) -> None:
    """What cannot be looked at is no pass: exit 3, with the image named."""
    lost = f"{sample.image.partition('@')[0]}@sha256:{'0' * 64}"
    sample.policy(image=lost)
    code, report = sample.gate("--no-canary")
    assert code == 3
    assert any(lost in f"{note['what']} {note['why']}" for note in report["notes"])


def test_a_driver_that_is_too_old_fails_it(sample: Sample, daemon: Daemon) -> None:
    """The image's TensorFlow says that it was built for CUDA 12.2 (patched on purpose); the node has driver 470."""
    site = f"opt/venv/lib/{PYTHON}/site-packages/tensorflow/python/platform/build_info.py"
    daemon.commit("kdoctor-e2e/again:1", "kdoctor-e2e/cuda:1", [], pack({site: CUDA_BUILD.encode()}))
    remote = sample.image.partition("@")[0]
    sample.policy(
        'machines = ["node.json"]\nselect = ["KD102"]\n',
        f"{remote}@{_push(daemon, 'kdoctor-e2e/cuda:1', remote, 'cuda')}",
    )
    sample.node("535.104.05", "12.2")
    assert sample.gate("--no-canary")[0] == 0
    sample.node("470.82.01", "11.4")
    code, report = sample.gate("--no-canary")
    assert (code, codes(report)) == (1, {"KD102"})
    assert [(row["machine"], row["verdict"]) for row in report["cases"] if row["machine"]] == [("old", "fail")]


def test_an_expired_suppression_fails_it(sample: Sample) -> None:
    """What it hid counts again, and that it expired is said."""
    sample.dockerfile(f"FROM {sample.image.partition('@')[0]}:before\n")
    row = '[[suppressions]]\ncode = "KD403"\nreason = "until the move"\nuntil = {}\n'
    sample.policy(row.format("2999-01-01"))
    assert sample.gate("--no-canary")[0] == 0
    sample.policy(row.format("2026-01-01"))
    code, report = sample.gate("--no-canary")
    assert (code, codes(report)) == (1, {"KD403", "KD904"})


def test_a_canary_that_cannot_run_is_not_green(sample: Sample, daemon: Daemon, base_image: str) -> None:
    """The image has no TensorFlow, so nothing can be held against the reference: exit 3."""
    remote = sample.image.partition("@")[0]
    sample.policy(image=f"{remote}@{_push(daemon, base_image, remote, 'bare')}")
    code, report = sample.gate()
    assert (code, report["incomplete"]) == (3, True), report["findings"]
    assert any(note["what"] == "canary" for note in report["notes"]), report["notes"]
    assert left_behind(daemon) == []


def test_one_side_without_tensorflow(sample: Sample, daemon: Daemon, base_image: str) -> None:
    """What differs is told all the same; the canary could not be looked at: exit 3, and no container is left."""
    remote = sample.image.partition("@")[0]
    bare = f"{remote}@{_push(daemon, base_image, remote, 'bare')}"
    code, report = compare(daemon, sample.image, bare, cwd=sample.folder)
    assert (code, report["verdict"], report["drift"]) == (3, "incomplete", None)
    assert {"package", "image"} <= {row["what"] for row in report["changes"]}
    assert any("TensorFlow" in note["why"] for note in report["notes"]), report["notes"]
    assert left_behind(daemon) == []


def test_digests_of_different_platforms(sample: Sample, daemon: Daemon) -> None:
    """The other platform's image is named as such; its canary cannot run here, so there is no verdict: exit 3."""
    other = _for_another_platform(daemon, sample)
    code, report = compare(daemon, sample.image, other, cwd=sample.folder)
    row = next(row for row in report["changes"] if row["name"] == "image.platform")
    assert (row["a"], row["b"]) == ("linux/amd64", "linux/arm64")
    assert (code, report["verdict"]) == (3, "incomplete")
    assert any("arm64" in note["why"] for note in report["notes"]), report["notes"]
    code, report = compare(daemon, sample.image, other, "--no-canary", cwd=sample.folder)
    assert (code, report["verdict"]) == (0, "pass")
    assert left_behind(daemon) == []


def _for_another_platform(daemon: Daemon, sample: Sample) -> str:
    """An image for arm64, as a digest: its configuration says so, and its Python is an executable for that."""
    remote = sample.image.partition("@")[0]
    made = daemon.client.api.create_container("kdoctor-e2e/again:1", ["true"])["Id"]
    pieces, _ = daemon.client.api.get_archive(made, "/usr/bin/python3.11")
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces))) as tar:
        program = tar.extractfile("python3.11")
        assert program is not None
        elf = bytearray(program.read())
    daemon.client.api.remove_container(made, force=True, v=True)
    elf[18:20] = (183).to_bytes(2, "little")  # the machine that an ELF file is for: AArch64
    files = pack({"usr/bin/python3.11": bytes(elf)})
    daemon.commit("kdoctor-e2e/again:1", "kdoctor-e2e/other:1", [], files)
    digest = _push(daemon, "kdoctor-e2e/other:1", remote, "other")
    host, _, name = remote.partition("/")
    types = "application/vnd.docker.distribution.manifest.v2+json"
    address = f"http://{host}/v2/{name}"
    manifest = requests.get(f"{address}/manifests/{digest}", headers={"Accept": types}, timeout=30).json()
    config = requests.get(f"{address}/blobs/{manifest['config']['digest']}", timeout=30).json()
    blob = json.dumps({**config, "architecture": "arm64"}).encode()
    name_of = "sha256:" + hashlib.sha256(blob).hexdigest()
    upload = requests.post(f"{address}/blobs/uploads/", timeout=30).headers["Location"]
    requests.put(upload, params={"digest": name_of}, data=blob, timeout=30).raise_for_status()
    manifest["config"] = {**manifest["config"], "digest": name_of, "size": len(blob)}
    sent = requests.put(
        f"{address}/manifests/other", data=json.dumps(manifest), headers={"Content-Type": types}, timeout=30
    )
    sent.raise_for_status()
    return f"{remote}@{sent.headers['Docker-Content-Digest']}"


@pytest.mark.parametrize("which", [1, 2], ids=["first", "second"])
def test_an_interrupted_canary_leaves_no_container(
    which: int, daemon: Daemon, digests: dict[str, str], tmp_path: Path
) -> None:
    """Ctrl-C while the first side's container runs, or the second's: exit 130, it is gone, and no report is there."""
    command = [sys.executable, "-m", "doctor", "compare", digests["before"], digests["again"]]
    child = subprocess.Popen(
        [*command, "--format", "json=report.json", "--format", "html=report.html"],
        cwd=tmp_path,
        env={**daemon.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 -- ignored in background jobs
    )
    seen: set[str] = set()
    deadline = time.monotonic() + 120
    while len(seen) < which:
        rows = daemon.client.api.containers(filters={"label": LABEL})
        seen |= {row["Id"] for row in rows if row["State"] == "running"}
        assert time.monotonic() < deadline
        assert child.poll() is None
        time.sleep(0.1)
    time.sleep(0.5)
    os.kill(child.pid, signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert left_behind(daemon) == []
    assert list(tmp_path.iterdir()) == []
