#!/usr/bin/env bash
# Collects what the program needs at run time as wheels, exactly as uv.lock names it: deploy/wheels.sh DIR
# A machine without a network is then installed with: deploy/install.sh --wheels DIR
# The wheels fit the Python that collects them (PYTHON, default /usr/bin/python3). `--id` only prints the release's name.
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-/usr/bin/python3}

# The version, and a digest of everything that makes the program what it is: another source is another release.
release_id() {
  local version digest
  version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$source_dir/pyproject.toml" | head -n 1)
  digest=$(cd "$source_dir" && find pyproject.toml uv.lock daemon handlers stockgrip deploy -type f \
    -not -path '*/__pycache__/*' -print0 | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -c 1-10)
  echo "$version-$digest"
}

main() {
  local target scratch uv
  if [ "${1:-}" = --id ]; then
    release_id
    return
  fi
  if [ $# != 1 ]; then
    echo "usage: deploy/wheels.sh DIR" >&2
    exit 2
  fi
  mkdir -p "$1"
  target=$(cd "$1" && pwd)
  scratch=$(mktemp -d)
  # shellcheck disable=SC2064  # now, as long as the name is known
  trap "rm -rf '$scratch'" EXIT
  "$python" -m venv "$scratch/venv"
  uv=$source_dir/.uv/bin/uv
  if [ ! -x "$uv" ]; then
    "$scratch/venv/bin/pip" install --quiet --disable-pip-version-check \
      "uv==$(sed -n 's/^UV_VERSION := //p' "$source_dir/Makefile")"
    uv=$scratch/venv/bin/uv
  fi
  "$uv" export --quiet --project "$source_dir" --frozen --no-dev --no-emit-project --no-header --extra postgres \
    --output-file "$scratch/requirements.txt" >/dev/null
  "$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' >"$scratch/PYTHON"
  # what is there already is kept, if it is for the same lock and the same Python
  if ! cmp -s "$scratch/requirements.txt" "$target/requirements.txt" || ! cmp -s "$scratch/PYTHON" "$target/PYTHON" ||
    ! (cd "$target" && sha256sum --quiet --status --check SHA256SUMS); then
    rm -f "$target"/*.whl "$target"/{SHA256SUMS,RELEASE,PYTHON,requirements.txt}
    "$scratch/venv/bin/pip" download --quiet --disable-pip-version-check --only-binary :all: --no-deps \
      --require-hashes --dest "$target" --requirement "$scratch/requirements.txt"
    cp "$scratch/requirements.txt" "$scratch/PYTHON" "$target"
  fi
  rm -f "$target"/stockgrip_live-*.whl
  "$uv" build --quiet --wheel --no-config --python "$scratch/venv/bin/python" --out-dir "$target" "$source_dir"
  rm -f "$target/.gitignore"
  release_id >"$target/RELEASE"
  (cd "$target" && sha256sum -- *.whl PYTHON RELEASE >SHA256SUMS)
  echo "$target: $(find "$target" -name '*.whl' | wc -l) wheels of $(cat "$target/RELEASE") for Python $(cat "$target/PYTHON")"
}

main "$@"
