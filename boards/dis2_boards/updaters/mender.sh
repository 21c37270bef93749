#!/bin/sh
# An update module of Mender (protocol 3) for archives of `dis2-edge deploy --archive`; install it on the board as
# /usr/share/mender/modules/v3/dis2-edge. The payload is the archive itself, one file.
#
# ArtifactInstall brings the new version up and keeps it only if it is healthy; ArtifactCommit only asks, so that state
# scripts between the two may still say no; ArtifactRollback goes back to what flew before the update. Each may be cut off
# at any point and called again. Settings: /etc/default/dis2-edge, DIS2_EDGE_ROOT at least.
set -u
state=${1-}
files=${2-}

fail() {
    echo "dis2-edge: $1" >&2
    exit 1
}

# The one file of the payload.
payload() {
    set -- "$files"/files/*
    [ "$#" -eq 1 ] && [ -f "$1" ] || fail "the payload is not one file; expected the archive of dis2-edge deploy --archive"
    printf '%s\n' "$1"
}

# Run a command of the updater that the archive brings.
drive() {
    defaults=${DIS2_EDGE_DEFAULTS-/etc/default/dis2-edge}
    if [ -r "$defaults" ]; then
        set -a
        . "$defaults"
        set +a
    fi
    python=${DIS2_EDGE_PYTHON-python3}
    "$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "$python is not Python 3.10 or newer"
    archive=$(payload) || exit 1
    kept=$files/tmp/dis2-edge
    mkdir -p "$kept" || fail "$kept cannot be made"
    tar -xf "$archive" -C "$kept" updater.pyz || fail "$archive brings no updater"
    "$python" -I "$kept/updater.pyz" "$1" "$archive" "$kept"
    exit $?
}

case $state in
    SupportsRollback) echo Yes ;;
    NeedsArtifactReboot | ProvidePayloadFileSizes) echo No ;;
    ArtifactInstall) drive install ;;
    ArtifactCommit) drive commit ;;
    ArtifactRollback) drive rollback ;;
    # Download: Mender keeps the payload by itself. ArtifactFailure: ArtifactRollback came before it. Nothing reboots.
    Cleanup) rm -rf "${files:?}/tmp/dis2-edge" ;;
esac
