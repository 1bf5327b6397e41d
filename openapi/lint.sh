#!/usr/bin/env bash
# Check openapi.json with Spectral, Redocly and openapi-generator, at once. They need npm and Java and lie in .lint/.
set -euo pipefail
cd "$(dirname "$0")/.."
missing=()
command -v npm > /dev/null || missing+=(npm)
command -v java > /dev/null || missing+=(default-jre-headless)
if [ ${#missing[@]} != 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
    { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"; } > /dev/null 2>&1 || true
fi
for tool in npm java; do
    if ! command -v $tool > /dev/null; then
        echo "openapi.json is not checked: $tool is missing"
        [ "${CI:-}" != true ]
        exit
    fi
done
if ! cmp --silent openapi/package.json .lint/package.json || [ ! -x .lint/bin/openapi-generator-cli ]; then
    mkdir -p .lint
    cp openapi/package.json .lint/
    .venv/bin/pip install --quiet --no-warn-script-location --no-deps --prefix .lint --ignore-installed \
        --constraint constraints.txt openapi-generator-cli & pip=$!
    npm install --prefix .lint --silent --no-audit --no-fund --no-package-lock
    wait $pip
fi
check() { "$@" > ".lint/$1.log" 2>&1 || { cat ".lint/$1.log"; false; }; }
spectral() { .lint/node_modules/.bin/spectral lint openapi/openapi.json --ruleset openapi/spectral.yaml --fail-severity hint; }
redocly() { REDOCLY_TELEMETRY=off .lint/node_modules/.bin/redocly lint openapi/openapi.json --config openapi/redocly.yaml; }
generator() { java -jar .lint/lib/python3*/site-packages/openapi_generator_cli/openapi-generator.jar validate -i openapi/openapi.json; }
check spectral & first=$!
check redocly & second=$!
check generator
wait $first
wait $second
echo "openapi.json: no findings of Spectral, Redocly and openapi-generator"
