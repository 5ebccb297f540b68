#!/bin/sh
# Ask a person before doing something, with nothing but curl.
#
#   export HITL_URL=http://localhost:4000 HITL_API_KEY=hitl_agt_...
#   sh examples/ask.sh "Restart the search cluster?"
#
# Exit codes: 0 approved (and reported as done), 1 trouble, 3 not approved.
set -eu

question=${1:-"May I restart the search cluster?"}
: "${HITL_URL:=http://localhost:4000}"
: "${HITL_API_KEY:?set it to the key that the server printed at its first start}"

run="ask-$(date +%s)-$$" # asking again after a lost answer gives the first answer

api() { # api METHOD PATH [JSON]
    method=$1 path=$2
    shift 2
    curl --silent --show-error --fail-with-body --max-time 60 --retry 5 --retry-connrefused \
        --request "$method" "$HITL_URL$path" \
        --header "Authorization: Bearer $HITL_API_KEY" --header "Idempotency-Key: $run" \
        ${1:+--header "Content-Type: application/json" --data "$1"}
}

field() { # field NAME: the first text of that name on stdin
    sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1
}

# Quotes and backslashes in the question must not end the JSON text.
escaped=$(printf '%s' "$question" | sed 's/\\/\\\\/g; s/"/\\"/g')
asked=$(api POST /api/v1/workflows "{\"actionType\": \"shell.ask\", \"name\": \"$escaped\",
    \"actionData\": {\"question\": \"$escaped\", \"host\": \"$(uname -n)\"}, \"timeoutSeconds\": 3600}")
id=$(printf '%s' "$asked" | field workflowId)
echo "Asked. Decide here: $HITL_URL/workflows/$id/"

status=PENDING
while [ "$status" = PENDING ]; do
    status=$(api GET "/api/v1/workflows/$id?wait=30" | grep -o '"status": *"[A-Z]*"' | head -n 1 | field status)
done
echo "The answer: $status"
[ "$status" = APPROVED ] || exit 3

# Claim it, act, report. Whoever claims first acts; a second claim is refused.
api POST "/api/v1/workflows/$id/execution/start" '{"executor": "ask.sh"}' >/dev/null
echo "Doing it now ..."
api POST "/api/v1/workflows/$id/execution/complete" '{"attempt": 1, "result": {"done": true}}' >/dev/null
echo "Done and reported."
