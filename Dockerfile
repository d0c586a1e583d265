# kdoctor itself, to look at images and saved snapshots where no Python is wanted:
#   docker build --build-arg BASE=python:3.12-slim-bookworm@sha256:… -t kdoctor .
#   docker run --rm --network none --read-only -v "$PWD:/project:ro" kdoctor scan --offline
# The digest is the builder's to give: one written here would be the digest of some day, of one registry.
ARG BASE=python:3.12-slim-bookworm

# kdoctor: ignore[KD403] whoever builds it gives BASE by digest
FROM ${BASE} AS build
WORKDIR /source
COPY requirements-ci.txt pyproject.toml README.md LICENSE ./
COPY doctor doctor
COPY rules rules
# Dependencies in the versions that the tests ran with.
RUN python -m venv /opt/kdoctor \
 && sed -E '/^ +--hash/d; s/ *\\$//' requirements-ci.txt > /tmp/constraints.txt \
 && /opt/kdoctor/bin/pip install --no-cache-dir --disable-pip-version-check -c /tmp/constraints.txt .

# kdoctor: ignore[KD403] whoever builds it gives BASE by digest
FROM ${BASE}
COPY --from=build /opt/kdoctor /opt/kdoctor
RUN useradd --system --uid 65532 --no-create-home --shell /usr/sbin/nologin kdoctor
ENV PATH=/opt/kdoctor/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /project
ENTRYPOINT ["kdoctor"]
CMD ["scan"]
