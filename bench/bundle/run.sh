#!/bin/sh
# Runs everything in this folder; ./run --help explains. Nothing is needed but a Vulkan driver.
here=$(cd "$(dirname "$0")" && pwd) || exit 2

# A folder that holds libvulkan.so.1, where the system has none that the linker finds.
loader=${KFAC_VULKAN_LOADER:-}
if [ -z "$loader" ] && [ -f "$here/lib/libvulkan.so.1" ]; then
  ldconfig=$(command -v ldconfig || echo /sbin/ldconfig)
  "$ldconfig" -p 2>/dev/null | grep -q 'libvulkan\.so\.1' || loader=$here/lib
fi
if [ -n "$loader" ]; then
  LD_LIBRARY_PATH=$loader${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  export LD_LIBRARY_PATH
fi
exec "$here/bin/node" "$here/app/bench/bundle/main.mjs" "$@"
