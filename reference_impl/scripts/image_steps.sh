#!/bin/sh
# The steps of the container image, as commands of their own.
#
#   image_steps.sh build SOURCE PREFIX   install the reference from SOURCE into a new environment at PREFIX
#   image_steps.sh health PREFIX URL     succeed if the server at URL (path /status) says that it is well
set -eu

build() {
    python3 -m venv "$2"
    "$2/bin/pip" install --quiet --no-cache-dir "$1"
    "$2/bin/python" -c 'import pywebtransport; assert pywebtransport.__distribution__ == "webtransport-reference"'
}

health() {
    "$1/bin/python" -m pywebtransport.interop.health "$2"
}

case "${1-}" in
    build) build "$2" "$3" ;;
    health) health "$2" "$3" ;;
    *)
        echo "usage: $0 build SOURCE PREFIX | health PREFIX URL" >&2
        exit 2
        ;;
esac
