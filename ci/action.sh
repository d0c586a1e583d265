#!/usr/bin/env bash
# What action.yml runs. Everything comes in as variables and is used quoted, never evaluated.
set -euo pipefail

fail() {
  echo "kdoctor action: $1" >&2
  exit 2
}

folder=${KDOCTOR_ACTION_PATH:-.}
[ -d "$folder" ] || fail "path: no such folder"
folder=$(cd -- "$folder" && pwd)

# In an environment of its own, from the very commit that the workflow names.
doctor="$RUNNER_TEMP/kdoctor"
if [ ! -x "$doctor/bin/kdoctor" ]; then
  python3 -m venv "$doctor"
  "$doctor/bin/pip" install --quiet --disable-pip-version-check "$GITHUB_ACTION_PATH"
fi

# The policy of the base branch, with the reference and the machines beside it: the author of a change must not switch
# the gate off. Where the base branch has none yet, the change that brings the first one is judged by its own.
found_base() {
  git -C "$folder" cat-file -e "$1^{commit}" 2>/dev/null && echo "$1" && return
  # Of the merge commit that GitHub makes and checks out for a pull request, the first parent is the base branch.
  if [[ ${GITHUB_REF:-} == refs/pull/*/merge ]] && [ "$(git -C "$folder" rev-parse HEAD)" = "${GITHUB_SHA:-}" ]; then
    git -C "$folder" rev-parse --quiet --verify 'HEAD^1^{commit}' && return
  fi
  git -C "$folder" fetch --quiet --no-tags --depth=1 origin "$1" >&2 && echo "$1"
}

place=$folder
base=${KDOCTOR_ACTION_BASE:-}
if [ -n "$base" ]; then
  [[ $base =~ ^[0-9a-f]{40}([0-9a-f]{24})?$ ]] || fail "the base commit is no commit"
  tree="$RUNNER_TEMP/kdoctor-base"
  if [ ! -d "$tree" ]; then
    base=$(found_base "$base") || fail "the base branch cannot be had: give actions/checkout the input fetch-depth: 2"
    git -C "$folder" worktree add --quiet --detach "$tree" "$base"
  fi
  place="$tree/$(git -C "$folder" rev-parse --show-prefix)"
fi

policy=
name=${KDOCTOR_ACTION_POLICY:-}
if [ -n "$name" ]; then
  case "/$name/" in
    */../* | //*) fail "policy: a file inside the folder, by its relative name" ;;
  esac
  if [ -f "$place/$name" ]; then policy="$place/$name"; elif [ -f "$folder/$name" ]; then policy="$folder/$name"; fi
  [ -n "$policy" ] || fail "policy: no such file"
elif [ -f "$place/kdoctor.toml" ]; then
  policy="$place/kdoctor.toml"
elif grep -q '^\[tool\.kdoctor' "$place/pyproject.toml" 2>/dev/null; then
  policy="$place/pyproject.toml"
fi
if [ -n "$base" ] && { [ -z "$policy" ] || [ "${policy#"$place"}" = "$policy" ]; }; then
  echo "::warning title=kdoctor::the base branch has no policy; this change is judged by its own"
fi

arguments=(gate --format text --format github)
[ -z "$policy" ] || arguments+=(--policy "$policy")
[ -z "${KDOCTOR_ACTION_PYTHON:-}" ] || arguments+=(--python "$KDOCTOR_ACTION_PYTHON")
[ -z "${KDOCTOR_ACTION_FAIL_ON:-}" ] || arguments+=(--fail-on "$KDOCTOR_ACTION_FAIL_ON")
[ -z "${KDOCTOR_ACTION_SARIF:-}" ] || arguments+=(--format "sarif=$KDOCTOR_ACTION_SARIF")
case "${KDOCTOR_ACTION_CANARY:-}" in
  "") ;;
  true) arguments+=(--canary) ;;
  false) arguments+=(--no-canary) ;;
  *) fail "canary: true, false or empty" ;;
esac

# These are for this script; to kdoctor they would be settings that it does not know.
unset "${!KDOCTOR_ACTION_@}"
code=0
"$doctor/bin/kdoctor" "${arguments[@]}" -- "$folder" || code=$?
[ -z "${GITHUB_OUTPUT:-}" ] || echo "exit-code=$code" >>"$GITHUB_OUTPUT"
exit "$code"
