#!/bin/sh
# Install a Debian package if this is Debian and we are root, else say how: install_debian_package.sh PACKAGE PURPOSE
# Fails if the package was not installed.
set -eu
package=$1
purpose=$2

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "Missing: $purpose. Install it with: sudo apt-get install $package (or your system's own package)" >&2
    exit 1
fi

echo "Installing the Debian package $package for $purpose"
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet=2
apt-get install --quiet=2 --yes --no-install-recommends "$package" >/dev/null
