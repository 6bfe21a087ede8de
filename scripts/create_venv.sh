#!/bin/sh
# Create a virtual environment: create_venv.sh PYTHON FOLDER
set -eu
python=$1
folder=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    found=$("$python" --version 2>/dev/null | head -n 1)
    echo "Sluice needs Python 3.11 or newer; found ${found:-no $python}. Name another one: make PYTHON=/path/to/python3.11" >&2
    exit 1
fi

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    # Debian and Ubuntu keep this part of the standard library in a package of its own.
    package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    sh "$(dirname "$0")/install_debian_package.sh" "$package" "Python's module venv"
    "$python" -c 'import ensurepip, venv'
fi

echo "Creating a virtual environment in $folder with $("$python" --version)"
"$python" -m venv --clear "$folder"
