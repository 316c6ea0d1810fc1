#!/bin/sh
# The steps of the container image, as commands of their own. The Dockerfile calls nothing else of this project.
#
#   image_steps.sh wheels SOURCE FOLDER    stage one: build the wheel of SOURCE, with those that it needs, into FOLDER
#   image_steps.sh install FOLDER PREFIX   stage two: install what is in FOLDER, and nothing else, at PREFIX
#   image_steps.sh health PREFIX URL       succeed if the server at URL (path /status) says that it is well
#
# PYTHON names the interpreter of the first two, by default python3.
set -eu
python=${PYTHON:-python3}

wheels() {
    "$python" -m venv "$2/.build"
    "$2/.build/bin/pip" wheel --quiet --disable-pip-version-check --wheel-dir "$2" "$1[metrics]"
    rm -rf "$2/.build"
}

install() {
    "$python" -m venv "$2"
    "$2/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir --no-index "$1"/*.whl
    "$2/bin/python" -c 'import pywebtransport; assert pywebtransport.__distribution__ == "webtransport-reference"'
}

health() {
    "$1/bin/python" -m pywebtransport.interop.health "$2"
}

case "${1-} $#" in
    'wheels 3') wheels "$2" "$3" ;;
    'install 3') install "$2" "$3" ;;
    'health 3') health "$2" "$3" ;;
    *)
        sed -n '4,6s/^# *//p' "$0" >&2
        exit 2
        ;;
esac
