#!/bin/sh
# Is this python fit to make the virtual environment? Prints one line on what is missing, and how to get it; or nothing.
# Removes a virtual environment that was made from another version.  Usage: check_python.sh PYTHON VENV
python=$1
venv=$2
fail() {
    echo "$1"
    exit
}
command -v "$python" >/dev/null 2>&1 || fail "$python was not found; install Python 3.10 or later (apt install python3), or say make PYTHON=/path/to/python3"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || fail "$python does not run; say make PYTHON=/path/to/python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "$python is Python $version; 3.10 or later is needed: say make PYTHON=/path/to/python3"
"$python" -c 'import venv, ensurepip' 2>/dev/null || fail "$python has no venv; install it (apt install python3-venv)"
if [ -x "$venv/bin/python" ]; then
    made=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
    [ "$made" = "$version" ] || rm -rf "$venv"
elif [ -e "$venv" ]; then
    rm -rf "$venv" # half made
fi
