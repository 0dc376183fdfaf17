# Sourced by the Makefile and usable in a shell: `. tools/setup/env.sh`. The environment that builds and runs bbia_ros.
case $- in *u*) _nounset=-u ;; *) _nounset=+u ;; esac   # the setup files of ROS do not bear `set -u`; a shell keeps its own
_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VENV=${VENV:-$_root/.venv}
ROS_SETUP=${ROS_SETUP-$(for f in "/opt/ros/${ROS_DISTRO:-none}/setup.bash" /opt/ros/*/setup.bash; do [ -e "$f" ] && echo "$f" && break; done; true)}
export VIRTUAL_ENV=$VENV PATH=$VENV/bin:$PATH
if [ -n "$ROS_SETUP" ]; then
  set +u; . "$ROS_SETUP"; set "$_nounset"
  _site=$("$VENV/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  export PYTHONPATH=$_site${PYTHONPATH:+:$PYTHONPATH}   # our pins before the distribution's packages
else
  export CMAKE_PREFIX_PATH=$VENV AMENT_PREFIX_PATH=$VENV LD_LIBRARY_PATH=$VENV/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
fi
if [ -e "$_root/install/local_setup.bash" ]; then
  set +u; . "$_root/install/local_setup.bash"; set "$_nounset"
fi
export PATH=$_root/install/bbia_ros/lib/bbia_ros:$PATH
export ROS_AUTOMATIC_DISCOVERY_RANGE=${ROS_AUTOMATIC_DISCOVERY_RANGE:-LOCALHOST}
