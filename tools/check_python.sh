#!/bin/sh
# Is this python fit to make the virtual environment? Prints one line on what is missing, and how to get it; or nothing.
# Removes a virtual environment that was made from another version.  Usage: check_python.sh PYTHON VENV
python=$1
venv=$2
another="or say make PYTHON=/path/to/python3"
fail() {
    echo "$1"
    exit
}
version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

command -v "$python" >/dev/null 2>&1 ||
    fail "$python was not found; install Python 3.10 or later (apt install python3), $another"
version=$(version_of "$python") || fail "$python does not run; install Python 3.10 or later (apt install python3), $another"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$python is Python $version, and 3.10 or later is needed; install one, $another"
package=python3-venv
[ "$python" = python3 ] || package=python$version-venv
"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    fail "$python (Python $version) has no venv; install it (apt install $package), $another"

[ -e "$venv" ] || exit 0
[ -e "$venv/pyvenv.cfg" ] || fail "$venv is there and is no virtual environment; remove it, or say make VENV=another"
[ "$(version_of "$venv/bin/python")" = "$version" ] || rm -rf "$venv"
