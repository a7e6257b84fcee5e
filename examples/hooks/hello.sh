#!/bin/sh
. "${0%/*}/rudderpost_hook.sh"

rp_add hello-again "Greet a person, from this daemon." read \
	'{"type":"object","properties":{"name":{"type":"string"}},"additionalProperties":false}'

hello_again() {
	rp_daemon version-get || return
	rp_reply "$(printf '%s' "$1" | jq -c --argjson answer "$answer" \
		'{greeting: "Hello, \(.name // "world")!", version: $answer.arguments}')"
}

rp_run
