# Finds an interpreter, and what the machine must give besides it. Sourced by ../../salus.sh.

# Sets the variables probe_version, probe_header, ... for an interpreter.
probe() {
  local lines line
  lines="$("$1" "$root/tools/env/probe.py" 2>/dev/null)" || return 1
  while IFS= read -r line; do
    printf -v "probe_${line%%=*}" '%s' "${line#*=}"
  done <<<"$lines"
}

# A distribution counts if it is sourced and its rclpy can be imported.
find_distribution() {
  [[ -n "${ROS_DISTRO:-}" && -n "${AMENT_PREFIX_PATH:-}" ]] || return 1
  python="$(type -P python3)" || return 1
  if ! probe "$python" || [[ "$probe_rclpy$probe_recent" != yesyes ]]; then
    say "Not using the ROS 2 distribution '$ROS_DISTRO': it needs Python 3.11 or newer with rclpy."
    python=""
    return 1
  fi
}

# Sets $python to an interpreter that the wheels exist for; a complete one goes before others.
find_python() {
  local name candidate best=""
  for name in python3.11 python3.12 python3.13 python3; do
    while IFS= read -r candidate; do
      # Not the environment of somebody's shell, which may vanish; and no shim without an interpreter.
      [[ -n "${VIRTUAL_ENV:-}" && "$candidate" == "$VIRTUAL_ENV"/* ]] && continue
      [[ "$candidate" == "$root/.venv"/* || "$candidate" == "$work/.venv"/* ]] && continue
      probe "$candidate" && [[ "$probe_wheels" == yes ]] || continue
      [[ -n "$best" ]] || best="$candidate"
      if [[ "$probe_venv$probe_header" == yesyes ]]; then
        best="$candidate"
        break 2
      fi
    done < <(type -aP "$name")
  done
  [[ -n "$best" ]] || return 1
  python="$best"
  probe "$python"
}

# Fills $missing with the Debian packages to install, $reasons with why, $unknown with what no
# package of Debian's can give.
find_missing() {
  missing=() reasons=() unknown=()
  need() { missing+=("$1") && reasons+=("  $1: $2"); }
  if ! find_python; then
    need python3 "Python 3.11, 3.12 or 3.13"
    need python3-venv "makes the environment .venv"
    need python3-dev "headers, to build the messages"
    # Without an interpreter nobody can look for these; where they are, apt-get leaves them alone.
    probe_egl=no probe_opengl=no probe_renderer=no
  else
    if [[ "$probe_venv" != yes ]]; then
      need "python$probe_version-venv" "makes the environment .venv"
      [[ "$probe_debian" == yes ]] || unknown+=("the modules venv and ensurepip of $python")
    fi
    if [[ "$probe_header" != yes ]]; then
      need "libpython$probe_version-dev" "Python's headers, to build the messages"
      [[ "$probe_debian" == yes ]] || unknown+=("the headers (Python.h) of $python")
    fi
  fi
  [[ "$probe_egl" == yes ]] || need libegl1 "libEGL, to draw the cameras without a display"
  [[ "$probe_opengl" == yes ]] || need libgl1 "libGL, to draw the cameras"
  [[ "$probe_renderer" == yes ]] || need libgl1-mesa-dri "Mesa's renderer, to draw the cameras"
  if [[ -n "${CXX:-}" ]]; then
    type -P "$CXX" >/dev/null || unknown+=("the C++ compiler that CXX names: $CXX")
  elif ! type -P c++ >/dev/null && ! type -P g++ >/dev/null && ! type -P clang++ >/dev/null; then
    need g++ "a C++ compiler, to build the messages"
  fi
}

# Installs what is missing, or stops and says what to install.
require_machine() {
  find_missing
  ((${#missing[@]} + ${#unknown[@]})) || return 0
  local sudo=() names="${missing[*]}"
  if ((${#unknown[@]})); then
    stop "This machine lacks, and no Debian package gives:" "${unknown[@]/#/  }" \
      "Install it, or put another Python 3.11 to 3.13 first on PATH (such as Debian's python3)."
  fi
  if [[ "$EUID" != 0 ]]; then
    sudo=(sudo -n)
  fi
  if [[ "${SALUS_APT:-yes}" == no ]] || ! type -P apt-get >/dev/null ||
    { ((${#sudo[@]})) && ! sudo -n true 2>/dev/null; }; then
    stop "This machine lacks:" "${reasons[@]}" "Install it, and start ./salus.sh again:" \
      "  sudo apt-get install $names"
  fi
  say "Installing what this machine lacks with apt-get (log/apt.log):" "${reasons[@]}"
  if ! { "${sudo[@]}" apt-get update &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
      "${missing[@]}"; } >"$root/log/apt.log" 2>&1 </dev/null; then
    stop_with_log "apt-get install $names failed" "$root/log/apt.log"
  fi
  hash -r
  find_missing
  ((${#missing[@]} + ${#unknown[@]} == 0)) ||
    stop "Installed, but still missing:" "${reasons[@]}" "${unknown[@]/#/  }"
}
