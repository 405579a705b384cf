#!/usr/bin/env bash
# The entry script: makes the environment, builds the workspace, runs a verb. See ./salus.sh --help.
set -euo pipefail

root="$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"
python="" flavour="" work="$root"

say() { printf '%s\n' "$@" >&2; }

stop() {
  say "$@"
  exit 1
}

stop_with_log() {
  say "salus: $1. The last lines of $2:"
  tail -n 20 "$2" | sed 's/^/  | /' >&2
  exit 1
}

usage() {
  cat <<'TEXT'
usage: ./salus.sh VERB ...

  collect [name:=value ...]  collect labelled episodes (3 by default) into ./runs; the arguments are
                             those of collect.launch.py, which './salus.sh collect --show-args' lists
  dataset --episodes N ...   collect a data set of episodes without a ROS graph, in processes of their
                             own, resumable; 'dataset --help' lists the options
  train, evaluate, calibrate, compare, ablate, replay, inspect, label, ...
                             any other command of 'salus', './salus.sh salus --help' lists them
  test [pytest arguments]    check the style and run the tests, without those marked as slow
  ros2 ...                   any ros2 command inside the environment
  shell                      a shell inside the environment
  setup                      only make the environment and build

The first run makes .venv, installs what the machine lacks (it says what and why) and builds; later
runs start at once. Where a ROS 2 distribution is sourced, its packages are used. Variables:
  SALUS_APT=no      never install Debian packages, only say which are missing
  PIP_..., such as PIP_EXTRA_INDEX_URL: pip's own, for instance to choose a build of torch
TEXT
}

# Interpreter lines of scripts cannot hold a space: a workspace at such a path is used through a link.
avoid_special_path() {
  [[ "$root" == *[!A-Za-z0-9._/+@~-]* ]] || return 0
  local links="${XDG_CACHE_HOME:-$HOME/.cache}/salus"
  if [[ "$links" == *[!A-Za-z0-9._/+@~-]* ]]; then
    links="/tmp/salus-$EUID"
    mkdir -p -m 700 "$links"
    # Others may write to /tmp: what they put there must not be run.
    [[ -O "$links" && ! -L "$links" ]] || stop "$links is not a folder of yours: remove it"
  fi
  work="$links/$(printf '%s' "$root" | cksum | cut -d' ' -f1)"
  mkdir -p "$links"
  [[ "$(readlink "$work")" == "$root" ]] || ln -sfn "$root" "$work"
}

source_workspace() {
  set +u
  # shellcheck disable=SC1091
  source "$work/install/local_setup.bash"
  export PATH="$work/install/salus_core/lib/salus_core:$PATH" # the command salus
  set -u
}

collect() {
  local argument episodes=("episodes:=3") output=("output:=$root/runs")
  for argument in "$@"; do
    case "$argument" in
      episodes:=*) episodes=() ;;
      output:=*) output=() ;;
    esac
  done
  if ((${#output[@]})); then
    mkdir -p "$root/runs"
    touch "$root/runs/COLCON_IGNORE"
  fi
  exec ros2 launch salus collect.launch.py "${episodes[@]}" "${output[@]}" "$@"
}

dataset() {
  local argument previous="" name="dataset" output=()
  for argument in "$@"; do
    [[ "$previous" != --split ]] || name="$argument"
    case "$argument" in
      --split=*) name="${argument#*=}" ;;
      --output | --output=*) output=(given) ;;
    esac
    previous="$argument"
  done
  ((${#output[@]})) || set -- --output "$root/runs/$name" "$@"
  exec python -m salus_core.cli dataset "$@"
}

run_tests() {
  local argument package status=0 none=0 marks=(-m "not slow") without_ros=() paths=()
  # Two at a time: tests without nodes keep both cores busy, those of nodes mostly wait.
  local workers=(-n 2 --dist loadfile)
  for package in "$root"/src/*/test "$root"/tools/*/test; do
    case "$package" in
    */salus_core/test | */salus_policies/test | */salus_studies/test | */fuzz/test) without_ros+=("$package") ;;
    *) paths+=("$package") ;;
    esac
  done
  for argument in "$@"; do
    [[ ! -e "${argument%%::*}" ]] || { paths=() without_ros=() workers=(); }
    [[ "$argument" != -m* ]] || marks=()
  done
  (cd "$root" && ruff check --quiet . && ruff format --check --quiet .) ||
    stop "salus test: ruff has found the faults above; 'ruff format' repairs the layout"
  local pytest=(python -m pytest --rootdir "$root" -c "$root/pyproject.toml" "${marks[@]}" "${workers[@]}")
  if ((${#without_ros[@]})); then
    OMP_NUM_THREADS=1 "${pytest[@]}" "${without_ros[@]}" "$@" || status=$?
  fi
  "${pytest[@]}" "${paths[@]}" "$@" || none=$?
  # 5: a filter (-k) selects none of one half.
  ((status == 0 || status == 5)) && ((none != 5 || status == 5)) && status=$none
  exit "$status"
}

# shellcheck source=tools/env/machine.sh
source "$root/tools/env/machine.sh"
# shellcheck source=tools/env/workspace.sh
source "$root/tools/env/workspace.sh"

verb="${1:-}"
case "$verb" in
  collect | dataset | test | ros2 | salus | shell | setup) shift ;;
  ablate | calibrate | compare | evaluate | improve | inspect | label | replay | study_policy | study_prevention | train | train_policy | train_scene_head | verify) ;;
  study) ;; # study prevention, study policy
  -h | --help | help) usage && exit 0 ;;
  *)
    [[ -z "$verb" ]] || say "salus: unknown verb '$verb'"
    usage >&2
    exit 2
    ;;
esac

avoid_special_path
prepare
source_workspace
# shellcheck source=tools/env/environment.sh
source "$root/tools/env/environment.sh"
case "$verb" in
  collect) collect "$@" ;;
  dataset) dataset "$@" ;;
  test) run_tests "$@" ;;
  ros2) exec ros2 "$@" ;;
  salus) exec python -m salus_core.cli "$@" ;;
  shell)
    say "SALUS's environment; 'exit' leaves it"
    exec "${SHELL:-bash}" "$@"
    ;;
  setup) say "Ready." ;;
  *) exec python -m salus_core.cli "$@" ;; # "$@" begins with the command
esac
