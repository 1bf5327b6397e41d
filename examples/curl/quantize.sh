#!/usr/bin/env bash
# Quantize a model with curl and jq. Exit status: 0 success, 1 the job failed, 2 a gate failed, 3 bad usage, other: curl's.
#
#   ./quantize.sh MODEL CALIBRATION EVALUATION SPEC OUTPUT
set -euo pipefail
[[ $# == 5 ]] || { echo "usage: $0 MODEL CALIBRATION EVALUATION SPEC OUTPUT" >&2; exit 3; }
model=$1 calibration=$2 evaluation=$3 spec=$4 output=$5
url=${QUANTD_URL:-http://127.0.0.1:8000}

# The key comes from a file descriptor: the arguments of a process are no secret.
request() {
  curl --silent --show-error --fail-with-body --retry 5 \
    --header @<(printf 'Authorization: Bearer %s\n' "${QUANTD_API_KEY:-}") "$@"
}

# With this key, a request that is repeated after a cut connection does not start a second job.
job=$(request "$url/v1/quantize" --header "Idempotency-Key: $(date +%s)-$RANDOM$RANDOM" \
  -F model=@"$model" -F calibration=@"$calibration" -F evaluation=@"$evaluation" -F spec="<$spec") ||
  { echo "$job" >&2; exit 1; }
self=$url$(jq -r .links.self <<< "$job")
echo "$self"

while [[ $(jq -r .status <<< "$job") =~ queued|running ]]; do
  job=$(request "$self" --header "Prefer: wait=60")
done
jq '{status, verdict, error, gates, summary}' <<< "$job"
[[ $(jq -r .status <<< "$job") == succeeded ]] || exit 1

request "$self/artifacts/model.onnx" --output "$output"
request "$self/report.html" --output "${output%.onnx}.html"
[[ $(jq -r .verdict <<< "$job") != fail ]] || exit 2
