# One image for every process; which one it is, docker-compose.yml says.
#
# Only the virtual environment reaches the second stage: no compiler, no pip, no source tree, no
# secret. The tags are exact; a digest can be added to each FROM line where the registry is at hand.

FROM python:3.12.12-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv /opt/truecopy
# Dependencies first: the layer is kept while the lock is the same. The lock names every one of them,
# so none is looked for.
COPY requirements-pip.lock requirements.lock ./
RUN /opt/truecopy/bin/python -m pip install --quiet --no-deps --require-hashes --only-binary :all: -r requirements-pip.lock
RUN /opt/truecopy/bin/python -m pip install --quiet --no-deps --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY schemas schemas
COPY connectors connectors
COPY flows flows
COPY infra infra
RUN /opt/truecopy/bin/python -m pip install --quiet --no-deps --no-build-isolation .
RUN /opt/truecopy/bin/python -m pip uninstall --quiet --yes setuptools pip

FROM python:3.12.12-slim-bookworm
# A named volume takes owner and mode from the folder it is first mounted on. The recovery directory
# must belong to the process (its content is unpickled), so both folders are made here.
RUN install -d -o 10001 -g 10001 -m 700 /var/lib/truecopy/recovery /var/lib/truecopy/archive
COPY --from=build /opt/truecopy /opt/truecopy
# The root file system is read-only: nothing is compiled at run time, what is temporary is in /tmp.
ENV PATH=/opt/truecopy/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /var/lib/truecopy
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["truecopy"]
CMD ["--help"]
