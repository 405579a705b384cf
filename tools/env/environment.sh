# Environment of everything that ./salus.sh runs. What the user has set wins. Sourced by bash.

# Discovery on this machine only: other people's robots on the same network are not ours to drive.
export ROS_AUTOMATIC_DISCOVERY_RANGE="${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}"
# MuJoCo draws without a display.
export MUJOCO_GL="${MUJOCO_GL:-egl}"
# Mesa draws in the calling thread: small images gain nothing from more, which take the nodes' cores.
export LP_NUM_THREADS="${LP_NUM_THREADS:-0}"
