"""Files in which an image is one value: compose, Kubernetes, workflows, GitLab, dev containers, bake."""

from __future__ import annotations

import json
import textwrap

from doctor.images import bake, compose, devcontainer, gitlab, kubernetes, workflows
from doctor.images.use import ImageUse, Unreadable

Read = tuple[list[ImageUse], list[Unreadable]]


def rows(read: Read) -> list[tuple[int, str, str]]:
    return [(u.line, u.reference, u.pinned) for u in read[0]]


def dedent(text: str) -> str:
    return textwrap.dedent(text)


def test_compose_services() -> None:
    """Services with an image are uses, those that are built are not; quotes and comments do not matter."""
    text = dedent("""\
        services:
          db: {image: "postgres:16"}
          app:
            image: me/app:latest
            build: .
          cache:
            image: redis  # comment
            platform: linux/arm64
    """)
    read = compose.parse(text, "compose.yml")
    assert rows(read) == [(2, "postgres:16", "tag"), (7, "redis", "latest-implicit")]
    assert read[0][1].platform == "linux/arm64"
    assert [text[u.span[0] : u.span[1]] for u in read[0] if u.span] == ["postgres:16", "redis"]


def test_compose_variables() -> None:
    """``.env`` and defaults decide; what only the shell can decide is open, and so is a name and tag of variables."""
    text = dedent("""\
        services:
          a: {image: "nginx:${TAG:-1.27}"}
          b: {image: "nginx:${SET}"}
          c: {image: "nginx:${UNSET}"}
          d: {image: "${NEEDED:?}"}
          e: {image: "${NAME:-x/y}:${TAG:-latest}"}
          f: {image: "${WHOLE:-redis:7}"}
    """)
    values = compose.environment("# comment\nexport SET='1.26'\n")
    assert rows(compose.parse(text, "compose.yml", values)) == [
        (2, "nginx:1.27", "tag"),
        (3, "nginx:1.26", "tag"),
        (4, "nginx:", "open"),
        (5, "${NEEDED:?}", "open"),
        (6, "x/y:latest", "open"),
        (7, "redis:7", "tag"),
    ]


def test_compose_fragments_count_once() -> None:
    """An image merged into two services stands in one place."""
    text = dedent("""\
        x-base: &base
          image: debian:12
        services:
          a: {<<: *base}
          b: {<<: [*base], command: x}
    """)
    assert rows(compose.parse(text, "compose.yml")) == [(2, "debian:12", "tag")]


def test_compose_of_the_first_version() -> None:
    """Services stand at the top there."""
    assert rows(compose.parse("db:\n  image: postgres:9\n", "compose.yml")) == [(2, "postgres:9", "tag")]


def test_a_broken_file_says_where() -> None:
    """The line is that of the mistake, in the whole file."""
    uses, unreadable = compose.parse("services:\n  a:\n    image: b: c\n", "compose.yml")
    assert not uses
    assert [(u.line, u.why.split(":")[0]) for u in unreadable] == [(3, "not YAML")]


def test_kubernetes_objects() -> None:
    """Containers of every kind, in every document and object, image volumes too; one broken document costs itself."""
    text = dedent("""\
        apiVersion: batch/v1
        kind: CronJob
        spec:
          jobTemplate:
            spec:
              template:
                spec:
                  initContainers: [{name: i, image: busybox}]
                  containers:
                  - name: c
                    image: "nvcr.io/nvidia/tensorflow:24.01-tf2-py3"
                  volumes: [{name: v, image: {reference: "quay.io/v:1"}}]
        ---
        apiVersion: v1
        kind: Pod
        spec:
          containers: {{- range .Values }} [image: x]
        ---
        apiVersion: v1
        kind: Pod
        spec: {containers: [{image: nginx:1}]}
    """)
    uses, unreadable = kubernetes.parse(text, "job.yaml")
    assert rows((uses, unreadable)) == [
        (8, "busybox", "latest-implicit"),
        (11, "nvcr.io/nvidia/tensorflow:24.01-tf2-py3", "tag"),
        (12, "quay.io/v:1", "tag"),
        (21, "nginx:1", "tag"),
    ]
    assert [u.why for u in unreadable] == ["a template, not YAML"]


def test_other_yaml_is_left_alone() -> None:
    """Without apiVersion and kind, ``image`` means whatever it means."""
    assert kubernetes.parse("image: nginx\ncontainers: [{image: nginx}]\n", "values.yaml") == ([], [])


def test_workflow_images() -> None:
    """Containers as text or mapping, services, docker:// steps; actions and expressions are not judged."""
    text = dedent("""\
        jobs:
          a:
            container: node:24
            services:
              db: {image: "docker://postgres:18"}
            steps:
            - uses: docker://alpine
            - uses: actions/checkout@v4
          b:
            container: {image: "python:${{ matrix.python }}"}
    """)
    assert rows(workflows.parse_workflow(text, "ci.yml")) == [
        (3, "node:24", "tag"),
        (5, "postgres:18", "tag"),
        (7, "alpine", "latest-implicit"),
        (10, "python:${{ matrix.python }}", "open"),
    ]


def test_actions() -> None:
    """Only ``docker://`` is an image; a Dockerfile is built, and the steps of a composite action are read."""
    assert rows(workflows.parse_action("runs:\n  image: docker://debian:12\n", "action.yml")) == [
        (2, "debian:12", "tag")
    ]
    assert rows(workflows.parse_action("runs:\n  image: Dockerfile\n", "action.yml")) == []
    assert rows(workflows.parse_action("runs:\n  steps:\n  - uses: docker://a\n", "action.yml"))[0][1] == "a"


def test_gitlab_images() -> None:
    """At the top, in default, in jobs and services; variables of the file and the job; the server's stay open."""
    text = dedent("""\
        image: ruby:3.3
        variables:
          VERSION: "3.12"
          IMAGE: python:$VERSION
        default:
          services: [docker:dind, {name: redis}]
        test:
          image: {name: "${IMAGE}"}
        build:
          image: $CI_REGISTRY_IMAGE:latest
        other:
          variables: {VERSION: "3.9"}
          image: $IMAGE
    """)
    assert rows(gitlab.parse(text, ".gitlab-ci.yml")) == [
        (1, "ruby:3.3", "tag"),
        (6, "docker:dind", "tag"),
        (6, "redis", "latest-implicit"),
        (8, "python:3.12", "tag"),
        (10, "$CI_REGISTRY_IMAGE:latest", "open"),
        (13, "python:3.9", "tag"),
    ]


def test_devcontainer() -> None:
    """JSON with comments and trailing commas, at its true place; a variable leaves it open; broken JSON has a line."""
    text = '{\n\t// "image": "no"\n\t"image": "mcr.example/base:1", /* x */\n\t"features": {"a/b:1": {},},\n}\n'
    read = devcontainer.parse(text, "devcontainer.json")
    assert [(u.line, u.column, u.reference) for u in read[0]] == [(3, 12, "mcr.example/base:1")]
    assert rows(devcontainer.parse('{"image": "a:${localEnv:TAG}"}', "d"))[0][2] == "open"
    assert devcontainer.parse('{\n"image": }', "d")[1][0].line == 2
    assert devcontainer.parse('{"image": null}', "d") == ([], [])


def test_bake_files() -> None:
    """Contexts that are images, in HCL and JSON, with variables; what has no default stays open."""
    text = dedent("""\
        variable "TAG" { default = "3.20" }
        variable "BASE" {}
        target "app" {
          contexts = {
            alpine = "docker-image://alpine:${TAG}"
            other  = "docker-image://x:${BASE}"
            src    = "target:lib"
          }
        }
    """)
    assert rows(bake.parse(text, "docker-bake.hcl")) == [(5, "alpine:3.20", "tag"), (6, "x:${BASE}", "open")]
    document = {"target": {"a": {"contexts": {"b": "docker-image://node"}}}}
    assert rows(bake.parse(json.dumps(document), "docker-bake.json")) == [(1, "node", "latest-implicit")]
    assert bake.parse('target "app" {', "docker-bake.hcl")[1][0].why == "not HCL"


def test_compose_does_not_pull_what_it_builds() -> None:
    """A built image is not pulled by the service that builds it, by one that extends that, or by another one."""
    text = dedent("""\
        services:
          app: {build: ., image: localhost:5000/app}
          worker: {image: "localhost:5000/app:latest"}
          web: {extends: {service: app}, image: web:1}
          other: {extends: {service: app, file: common.yml}, image: other:1}
          db: {build: !reset null, image: postgres:16}
          gone: {image: !reset null}
          redis: {image: redis:7}
    """)
    assert rows(compose.parse(text, "compose.yml")) == [
        (5, "other:1", "tag"),
        (6, "postgres:16", "tag"),
        (8, "redis:7", "tag"),
    ]


def test_compose_variables_that_decide() -> None:
    """What ``.env`` sets is judged, also where name and tag are variables; what stays blank leaves the image open."""
    text = dedent("""\
        services:
          a: {image: "${NAME}:${TAG:-latest}"}
          b: {image: "reg.example/${OTHER:-x}:${TAG:-1}"}
          c: {image: "redis${UNSET:+:$UNSET}"}
          d: {image: "redis:${LITERAL}"}
          e: {image: "redis:${UNSET:-$UNSET}"}
    """)
    values = compose.environment("BASE: x\nNAME=${BASE}/y\nTAG=\"2-${BASE}\"\nLITERAL='$BASE'\n")
    assert values == {"BASE": "x", "NAME": "x/y", "TAG": "2-x", "LITERAL": "$BASE"}
    assert [row[1:] for row in rows(compose.parse(text, "compose.yml", values))] == [
        ("x/y:2-x", "tag"),
        ("reg.example/x:2-x", "tag"),
        ("redis", "latest-implicit"),
        ("redis:$BASE", "unresolved"),
        ("redis:", "open"),
    ]


def test_containers_of_workflow_engines_and_templates() -> None:
    """Argo's and Tekton's steps are containers; a template's expression leaves the image open; JSON on one line."""
    text = dedent("""\
        apiVersion: argoproj.io/v1alpha1
        kind: Workflow
        spec:
          templates:
          - container: {image: python:3.11}
            sidecars:
            - {image: docker:dind}
          - script: {image: alpine, source: "image: x"}
          - container: {image: "{{inputs.parameters.image}}:1"}
        ---
        {"apiVersion":"tekton.dev/v1","kind":"Task","spec":{"steps":[{"image":"ubuntu"}]}}
    """)
    assert rows(kubernetes.parse(text, "w.yaml")) == [
        (5, "python:3.11", "tag"),
        (7, "docker:dind", "tag"),
        (8, "alpine", "latest-implicit"),
        (9, "{{inputs.parameters.image}}:1", "open"),
        (11, "ubuntu", "latest-implicit"),
    ]


def test_variables_of_a_gitlab_job_that_is_extended() -> None:
    """A job has the variables of those it extends, its own first; a variable named image is no image."""
    text = dedent("""\
        variables: {image: nope, V: "1"}
        .old: {variables: {V: "2", W: a}}
        .new: {extends: .old, variables: {V: "3"}}
        a: {extends: [.old, .new], image: "x:$V-$W"}
        b: {extends: .new, variables: {V: "4"}, image: "x:$V-$W"}
        c: {extends: c, image: "x:$V"}
    """)
    assert rows(gitlab.parse(text, ".gitlab-ci.yml")) == [(4, "x:3-a", "tag"), (5, "x:4-a", "tag"), (6, "x:1", "tag")]


def test_a_dev_container_whose_colon_stands_on_the_next_line() -> None:
    """JSON that is no YAML is found all the same, at its place."""
    text = '{\n  "image"\n  :\n  "ubuntu:22.04"\n}'
    (use,), problems = devcontainer.parse(text, "devcontainer.json")
    assert (use.line, use.column, use.pinned, problems) == (4, 4, "tag", [])
    assert use.span is not None
    assert text[slice(*use.span)] == "ubuntu:22.04"
