#!/usr/bin/env bash
# A newer software Vulkan driver (Mesa 26) in a folder of its own, beside the system's. It has cooperative matrices, which Dawn shows
# as the feature chromium-experimental-subgroup-matrix: with it the matrix tier runs and can be tested on a machine without a GPU.
#
#   scripts/mesa-with-matrices.sh [DIR]     fills DIR (default .mesa; some 350 MB, a few minutes), then prints how to use it
#   . DIR/env                               from then on node, npm and vitest see that driver
#
# The driver comes from a later Debian than this machine's and needs that Debian's C library. So the folder holds the library too,
# and a copy of node that is told to load from there; nothing outside of the folder is changed but two build tools from apt.
set -euo pipefail
dir=${1:-"$(dirname "$0")/../.mesa"}
suite=forky

fail() { echo "mesa-with-matrices: $1" >&2; exit 1; }

# Where this machine gets Debian itself from (not its security updates, not backports): the first source whose suite is a plain name.
mirror() {
  node --input-type=module - "$(cd "$(dirname "$0")" && pwd)/apt-driver.mjs" <<'JS'
const { readSources } = await import(process.argv[2]);
const source = readSources("/etc/apt").find(({ uri, suites }) => /^https?:/.test(uri) && suites.some((suite) => /^[a-z]+$/.test(suite)));
if (!source) process.exit(1);
console.log(source.uri);
JS
}

if [ ! -f "$dir/env" ]; then
  [ "$(uname -sm)" = "Linux x86_64" ] || fail "this works on Linux on x86-64 only"
  [ "$(id -u)" = 0 ] || fail "run it as root: it installs packages into a folder"
  from=$(mirror) || fail "found no Debian mirror in this machine's apt sources"
  if ! command -v mmdebstrap >/dev/null || ! command -v patchelf >/dev/null; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mmdebstrap patchelf >/dev/null
  fi
  mkdir -p "$dir"
  dir=$(cd "$dir" && pwd)
  work=$dir/root
  rm -rf "$work"
  echo "fetching the driver and its libraries ..." >&2
  # A mirror may be a snapshot whose lists are past their date; their signatures are checked all the same.
  mmdebstrap --variant=extract --aptopt='Acquire::Check-Valid-Until "false"' --include=mesa-vulkan-drivers,libvulkan1,libstdc++6 "$suite" "$work" "$from" 2>"$dir/log" ||
    { tail -n 5 "$dir/log" >&2; fail "unpacking failed, see $dir/log"; }

  lib=$work/usr/lib/x86_64-linux-gnu
  # Only the software driver is wanted; the others, documents and package records are ballast.
  find "$lib" -name 'libvulkan_*.so' ! -name 'libvulkan_lvp.so' -delete
  rm -rf "$work"/usr/share/doc "$work"/usr/share/locale "$work"/var

  # node, its addons and the driver must all get their libraries from the folder: a search path in the program itself comes before
  # the system's, and LLVM's own would get in its way.
  patchelf --remove-rpath "$(readlink -f "$lib"/libLLVM.so.*)"
  mkdir -p "$dir/bin"
  cp "$(readlink -f "$(command -v node)")" "$dir/bin/node"
  patchelf --set-interpreter "$lib/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$lib" "$dir/bin/node"

  cat >"$dir/lvp.json" <<JSON
{ "file_format_version": "1.0.1", "ICD": { "library_path": "$lib/libvulkan_lvp.so", "api_version": "1.4.0" } }
JSON
  # Written last: its being there says that all else is.
  echo "export PATH=\"$dir/bin:\$PATH\" VK_DRIVER_FILES=\"$dir/lvp.json\"" >"$dir/env"
fi
dir=$(cd "$dir" && pwd)
echo ". $dir/env"
