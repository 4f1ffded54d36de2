#!/usr/bin/env bash
# The tests inside lmms-eval, which asks for an older PyAV than this library and so gets an environment of its own.
#
# That environment sees all packages of the one that $PYTHON belongs to (.venv by default), this library among them, and
# adds lmms-eval and what it imports. Where these cannot be installed, such as without a network, the tests are skipped:
# the reason is printed, and the exit code is 0.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-.venv/bin/python}
home=.venv-lmms
# Its 0.7 reaches into filelock, where 4 has other modules.
imported=(datasets evaluate "filelock<4" loguru math-verify openai opencv-python-headless pytz sacrebleu tenacity)

packages_of() {
  "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'
}

install() {
  "$python" -m venv --clear "$home" &&
    echo "import site; site.addsitedir('$(packages_of "$python")')" > "$(packages_of "$home/bin/python")/shared.pth" &&
    "$home/bin/pip" install --quiet --no-deps "lmms-eval>=0.7,<0.8" &&
    "$home/bin/pip" install --quiet "${imported[@]}" &&
    touch "$home/installed"
}

if [ ! -f "$home/installed" ]; then
  log=$(mktemp)
  trap 'rm -f "$log"' EXIT
  if ! install > "$log" 2>&1; then
    echo "skipped: lmms-eval cannot be installed here: $(grep -m 1 -i error "$log" || tail -n 1 "$log")"
    exit 0
  fi
fi
OMP_WAIT_POLICY=passive OMP_NUM_THREADS=1 "$home/bin/python" -m pytest \
  tests/evaluation/lmms tests/evaluation/conventions/test_lmms_eval.py
