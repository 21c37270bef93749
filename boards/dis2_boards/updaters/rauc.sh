#!/bin/sh
# A full custom handler of RAUC for archives of `dis2-edge deploy --archive`: RAUC checks the signature of its own bundle,
# mounts it and calls this, which brings the new version up beside the old one and keeps it only if it is healthy.
# No slot is written and nothing reboots. It may be cut off at any point: the next installation undoes what was half done.
# Settings: /etc/default/dis2-edge, DIS2_EDGE_ROOT at least.
set -u
scratch=

fail() {
    echo "<< error $1"
    exit 1
}

tidy() {
    if [ -n "$scratch" ]; then
        rm -rf "$scratch"
    fi
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM

defaults=${DIS2_EDGE_DEFAULTS-/etc/default/dis2-edge}
if [ -r "$defaults" ]; then
    set -a
    . "$defaults"
    set +a
fi
mounted=${RAUC_BUNDLE_MOUNT_POINT-${RAUC_UPDATE_SOURCE-}}
[ -n "$mounted" ] || fail "RAUC_BUNDLE_MOUNT_POINT is not set; expected to be called by RAUC"
set -- "$mounted"/*.tar
[ "$#" -eq 1 ] && [ -f "$1" ] || fail "the RAUC bundle holds not one .tar; expected the archive of dis2-edge deploy"
archive=$1
python=${DIS2_EDGE_PYTHON-python3}
"$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "$python is not Python 3.10 or newer"
scratch=$(mktemp -d) || fail "no scratch folder"
tar -xf "$archive" -C "$scratch" updater.pyz || fail "$archive brings no updater"
echo "<< handler started"
if "$python" -I "$scratch/updater.pyz" install "$archive" "$scratch" 2>"$scratch/said"; then
    cat "$scratch/said"
    echo "<< handler done"
else
    cat "$scratch/said"
    fail "$(grep '^dis2-edge: ' "$scratch/said" | tail -n 1)"
fi
