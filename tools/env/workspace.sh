# Makes .venv and builds the workspace, each only when something has changed. Sourced by ../../salus.sh.

# A stamp is a hash in a file, written after the work is done and removed before it begins: what was
# interrupted has no stamp, and is resumed.
stamped() { [[ -f "$1" && "$(<"$1")" == "$2" ]]; }

# Prints pip's arguments. A distribution's message packages are compiled for its own NumPy.
requirements() {
  local folder="$root/tools/env" numpy
  if [[ "$flavour" == wheels ]]; then
    printf '%s\n' -r "$folder/requirements-ros.txt" -r "$folder/requirements.txt"
  else
    numpy="$("$python" -c 'import numpy; print(numpy.__version__)')"
    sed "s/^numpy==.*/numpy==$numpy/" "$folder/requirements.txt" >"$root/log/requirements.txt"
    printf '%s\n' -r "$root/log/requirements.txt"
  fi
  printf '%s\n' -c "$folder/constraints.txt"
}

venv_hash() {
  { printf '%s\n' "$work" "$flavour" && cat "$root"/tools/env/{*.txt,fix_wheels.py}; } |
    sha256sum | cut -d' ' -f1
}

make_venv() {
  local venv="$work/.venv" log="$root/log/pip.log" wanted options=() list
  wanted="$flavour $python $work"
  [[ ! -L "$venv" ]] || stop "$root/.venv is a link: remove it, as what it leads to would be emptied"
  rm -f "$venv/salus.stamp"
  # A pip that was killed may have left half a package: then everything is made anew, from its cache.
  if ! stamped "$venv/salus.made" "$wanted" || [[ -e "$venv/salus.installing" ]]; then
    say "Making .venv with $python"
    [[ "$flavour" == wheels ]] || options+=(--system-site-packages)
    "$python" -m venv --clear "${options[@]}" "$venv" >"$log" 2>&1 ||
      stop_with_log "making .venv failed" "$log"
    touch "$venv/COLCON_IGNORE"
    printf '%s' "$wanted" >"$venv/salus.made"
  fi
  say "Installing Python packages into .venv: about 1 GB, some minutes (log/pip.log)"
  mapfile -t list < <(requirements)
  touch "$venv/salus.installing"
  if ! "$venv/bin/python" -m pip install --disable-pip-version-check --no-input "${list[@]}" \
    >>"$log" 2>&1 </dev/null; then
    rm "$venv/salus.installing" # pip has undone what it began
    stop_with_log "pip install failed" "$log"
  fi
  rm "$venv/salus.installing"
  if [[ "$flavour" == wheels ]]; then
    "$venv/bin/python" "$root/tools/env/fix_wheels.py" >>"$log" 2>&1 ||
      stop_with_log "preparing the ROS wheels failed" "$log"
  fi
  venv_hash >"$venv/salus.stamp"
}

# Environment for building and running. A distribution has set its own already.
use_venv() {
  local venv="$work/.venv" libraries
  export VIRTUAL_ENV="$venv" PATH="$venv/bin:$PATH"
  unset PYTHONHOME
  if [[ "$flavour" == wheels ]]; then
    # Overlays of a shell that we were started from do not fit these packages.
    unset PYTHONPATH COLCON_PREFIX_PATH ROS_DISTRO
    export RMW_IMPLEMENTATION=rmw_fastrtps_cpp
    export AMENT_PREFIX_PATH="$venv" CMAKE_PREFIX_PATH="$venv"
    libraries="$(printf '%s:' "$venv"/lib/python*/site-packages/ros_*.libs)"
    export LD_LIBRARY_PATH="$venv/lib:${libraries%:}"
    # The libraries' path is set: no python needs to be started twice for it.
    export _ROS_WHEELS_BOOTSTRAP_COMPLETE=1
    export PATH="$root/tools/ros2/bin:$PATH"
  fi
}

# Python files are linked into the install folder: only the list of the other files, and what the
# build reads (package.xml, setup.py, interfaces...), ask for a new build.
build_hash() {
  (
    cd "$root"
    printf '%s\n' "$work" "$flavour"
    cat .venv/salus.stamp colcon.meta
    find src \( -name '.*' -o -name __pycache__ -o -name '*.egg-info' \) -prune -o \
      -type f \( -name '*.launch.py' -o ! -name '*.py' \) -print | LC_ALL=C sort
    find src -type f \( -name package.xml -o -name 'setup.*' -o -name CMakeLists.txt \
      -o -name '*.msg' -o -name '*.srv' -o -name '*.action' \) -print0 |
      LC_ALL=C sort -z | xargs -0 sha256sum
  ) | sha256sum | cut -d' ' -f1
}

build() {
  local log="$root/log/build.log" package
  rm -f "$work/install/salus.stamp"
  for package in "$root"/install/*/; do
    package="$(basename "$package")"
    # A package that is gone from src must not stay importable.
    if [[ "$package" != '*' && ! -f "$root/src/$package/package.xml" ]]; then
      rm -rf "${root:?}/install/$package" "${root:?}/build/$package"
    fi
  done
  # Links to sources that have been renamed or removed would stop the build.
  [[ ! -d "$root/build" ]] || find "$root/build" -xtype l -delete
  say "Building the workspace: up to two minutes the first time (log/build.log)"
  (
    cd "$work"
    [[ "$flavour" != wheels ]] || export CMAKE_GENERATOR=Ninja
    # Not the command colcon: the interpreter that runs it is the one that the nodes will have.
    "$work/.venv/bin/python" -m colcon --log-base log build --base-paths src --build-base build \
      --install-base install --symlink-install \
      --cmake-args -DBUILD_TESTING=OFF "-DPython3_EXECUTABLE=$work/.venv/bin/python"
  ) >"$log" 2>&1 </dev/null || stop_with_log "building the workspace failed" "$log"
  build_hash >"$work/install/salus.stamp"
}

ready() {
  stamped "$work/.venv/salus.stamp" "$(venv_hash)" &&
    stamped "$work/.venv/salus.made" "$flavour $python $work" &&
    stamped "$work/install/salus.stamp" "$(build_hash)"
}

prepare() {
  # Which interpreter .venv was made with: it is looked for again only when it has gone.
  local made=""
  mkdir -p "$root/log"
  if find_distribution; then
    flavour="distribution $ROS_DISTRO"
  else
    flavour=wheels
    [[ ! -f "$work/.venv/salus.made" ]] || made="$(<"$work/.venv/salus.made")"
    python="${made#wheels }"
    python="${python% "$work"}"
    if [[ "$made" != wheels\ * ]] || ! [[ -x "$python" && -x "$work/.venv/bin/python" ]]; then
      python=""
    fi
  fi
  if [[ -n "$python" ]] && ready; then
    use_venv
    return
  fi
  exec {lock}>"$root/log/salus.lock"
  if ! flock -n "$lock"; then
    say "Another ./salus.sh is preparing the workspace: waiting for it"
    flock "$lock"
    exec {lock}>&-
    prepare
    return
  fi
  [[ "$flavour" != wheels ]] || require_machine
  if ! stamped "$work/.venv/salus.stamp" "$(venv_hash)" ||
    ! stamped "$work/.venv/salus.made" "$flavour $python $work"; then
    make_venv
  fi
  use_venv
  stamped "$work/install/salus.stamp" "$(build_hash)" || build
  exec {lock}>&-
}
