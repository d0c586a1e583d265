"""Options of installers that take the next word as their value; every other option stands alone."""

from __future__ import annotations

_PIP = """
-r --requirement -c --constraint -e --editable -i --index-url --extra-index-url -f --find-links -t --target
--platform --python-version --implementation --abi --root --prefix --src --upgrade-strategy --no-binary
--only-binary --progress-bar --global-option --config-settings --config-setting -C --cache-dir --trusted-host
--timeout --default-timeout --retries --proxy --cert --client-cert --log --python --exists-action --report
--use-feature --use-deprecated --keyring-provider --build-option --install-option -b --build
--root-user-action --group --index --default-index --index-strategy --resolution --prerelease --constraints
--override --overrides --exclude-newer --link-mode --extra --torch-backend -p --python-platform -P
--upgrade-package --refresh-package --reinstall-package --no-build-package --no-binary-package
--only-binary-package --config-file --color --directory --project --with --source
"""

_CONDA = """
-c --channel -n --name -p --prefix --file -f --solver --platform --subdir --repodata-fn --revision --clone
--experimental --root-prefix -r
"""

_APT = """
-o --option -t --target-release --default-release -c --config-file -a --host-architecture
"""

# pip and uv
PIP = frozenset(_PIP.split())
# conda, mamba and micromamba
CONDA = frozenset(_CONDA.split())
APT = frozenset(_APT.split())
