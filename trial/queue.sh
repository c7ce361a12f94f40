#!/bin/bash
# takes the first line of /tmp/l13/jobs at a time
cd /tmp/l13
while [ ! -e stop ]; do
  l=$(head -1 jobs 2>/dev/null)
  if [ -z "$l" ]; then sleep 3; continue; fi
  sed -i 1d jobs
  echo "== $(date +%T) $l" >> q.log
  OMP_NUM_THREADS=1 PYTHONPATH=/tmp/l13/snap2 nice -n 15 /work/wl/.venv/bin/python /tmp/l13/one.py $l >> q.log 2>&1
done
