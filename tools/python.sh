#!/bin/sh
# Print the Python that SpeedTrade should run on: one that was built by its own profile if there is
# any (Debian's is; pyenv builds one only when asked), which runs our code half again as fast.
quick='import sys, sysconfig
built = sysconfig.get_config_var("CONFIG_ARGS") or ""
sys.exit(sys.version_info < (3, 11) or not ("--enable-optimizations" in built or sys.base_prefix == "/usr"))'
# Debian keeps what makes environments with pip in a package of its own; any newer pip does as well.
can_have_pip() {
    "$1" -c 'import ensurepip' 2>/dev/null || pip --python "$1" --version >/dev/null 2>&1
}
for one in python3.11 /usr/bin/python3.11 python3 /usr/bin/python3; do
    if "$one" -c "$quick" 2>/dev/null && can_have_pip "$one"; then
        command -v "$one"
        exit
    fi
done
command -v python3.11 || command -v python3
