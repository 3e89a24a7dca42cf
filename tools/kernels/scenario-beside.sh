#!/bin/sh
# Guest script of `cargo xtask kernels`: opens the zoo and runs the plan.
# Wants /bin/zoo, /lib/nltap.so, /bin/sockdiag-beside, /bin/sockdiag-brief,
# /opt/ours/sockdiag, /root/zoo-net.sh, /root/plan and iproute2 as /opt/sid.
# Leaves /out/results (format: crates/testkit/src/guest.rs), /out/zoo.txt, which
# sockets there were, and /out/closings, what is said of short connections.
sh /root/zoo-net.sh /opt/sid/ip
mkdir -p /sys/fs/cgroup/rig/zoo
# The shell's cgroup is inherited, so that the sockets have one of their own.
echo 0 >/sys/fs/cgroup/rig/zoo/cgroup.procs
/bin/zoo $(/bin/zoo -l | grep -vx -e victims -e timewait) >/out/zoo.txt
echo 0 >/sys/fs/cgroup/cgroup.procs
# What zoo-net.sh set in motion (addresses, neighbours) comes to rest.
sleep 1
/bin/sockdiag-beside /root/plan /out/results
# As many a second as the guest can.
/bin/sockdiag-brief --beside /opt/ours/sockdiag 1000 5000 >/out/closings 2>&1
true
