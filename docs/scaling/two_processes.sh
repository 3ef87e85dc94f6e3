#!/bin/bash
# A run shared by two processes on one machine: what a cluster does, to try it out. Usage: bash two_processes.sh CONFIG
set -u
config=${1:?a configuration, such as isic2018/care}
workers='"127.0.0.1:12345", "127.0.0.1:12346"'
pids=()
for index in 0 1; do
  TF_CONFIG="{\"cluster\": {\"worker\": [$workers]}, \"task\": {\"type\": \"worker\", \"index\": $index}}" \
    care train "$config" training.distribution=multiworker output=runs/two_processes &
  pids+=($!)
done
status=0
for pid in "${pids[@]}"; do
  wait "$pid" || status=$?
done
exit "$status"
