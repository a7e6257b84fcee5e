# shellcheck shell=sh
# A hook library for rudderpost, in POSIX sh: one file, and jq, which reads and writes the JSON.
#
#	. "${0%/*}/rudderpost_hook.sh"
#	rp_add hello "Greet a person." read
#	hello() { rp_reply "$(printf '%s' "$1" | jq -c '{greeting: "Hello, \(.name // "world")!"}')"; }
#	rp_run
#
# The function of a command has its name, with _ for -. It gets the arguments in JSON, and calls rp_reply with those of
# the reply, in JSON on one line, or rp_fail. It must not run in a subshell where it calls rp_daemon. stdout belongs to
# the protocol: what is printed goes to stderr, and so to the daemon's log. One call runs after the other.
# docs/reference/hooks.md is the protocol.

rp_commands='' # what is introduced, between commas
rp_known=' '   # the commands' names
rp_waiting=''  # frames that came while an answer was waited for, a line each
rp_calls=0

# rp_add NAME SUMMARY ACCESS [SCHEMA]: make a function a command. The schema of its arguments is a JSON Schema.
rp_add() {
	rp_about=$(jq -cn --arg name "$1" --arg summary "$2" --arg access "$3" --argjson schema "${4:-null}" \
		'{$name, $summary, $access} + if $schema then {arguments: $schema} else {} end') || exit 1
	rp_commands=${rp_commands:+$rp_commands,}$rp_about
	rp_known="$rp_known$1 "
}

# rp_reply [JSON]: the arguments of the reply.
rp_reply() { rp_arguments=${1:-} rp_result=0; }

# rp_fail TEXT [RESULT]: the command has failed.
rp_fail() { rp_text=$1 rp_result=${2:-1}; }

# rp_log TEXT [LEVEL]: write a line to the daemon's log.
rp_log() { jq -cn --arg text "$1" --arg log "${2:-info}" '{$log, $text}' >&4; }

# rp_daemon COMMAND [JSON]: run a command of the daemon's with the rights of the caller. The reply is in $answer, and
# the status says whether it is a success.
rp_daemon() {
	rp_calls=$((rp_calls + 1))
	jq -cn --arg command "$1" --argjson arguments "${2:-{\}}" --argjson call "$rp_calls" --argjson for "$rp_id" \
		'{$call, $for, $command, $arguments}' >&4
	while IFS= read -r answer <&3; do
		case $answer in # the daemon writes these two first
		"{\"call\":$rp_calls,\"result\":"[03][,}]*) return 0 ;;
		"{\"call\":$rp_calls,"*) return 1 ;;
		esac
		rp_waiting="$rp_waiting$answer
"
	done
	exit 0 # the daemon is gone
}

# rp_next: the next frame, in $rp_frame.
rp_next() {
	if [ -z "$rp_waiting" ]; then
		IFS= read -r rp_frame <&3
		return
	fi
	rp_frame=${rp_waiting%%
*}
	rp_waiting=${rp_waiting#*
}
}

# rp_run: speak with the daemon until it closes stdin. The parameters are in $parameters, in JSON.
rp_run() {
	exec 3<&0 4>&1 </dev/null 1>&2 # what prints must not break the frames
	IFS= read -r rp_frame <&3 || exit 0
	case $rp_frame in
	'{"hello":{"version":1,'*) ;;
	*)
		printf '%s\n' '{"refuse":"the daemon speaks another version of the protocol than 1"}' >&4
		exit 1
		;;
	esac
	# shellcheck disable=SC2034 # for the script that includes this
	parameters=$(printf '%s' "$rp_frame" | jq -c .hello.parameters)
	printf '{"introduce":{"commands":[%s]}}\n' "$rp_commands" >&4
	while rp_next; do
		case $rp_frame in '{"id":'*) rp_answer ;; esac # a cancel comes too late: one call runs after the other
	done
}

rp_answer() {
	rp_parts=$(printf '%s' "$rp_frame" | jq -r '.id, .command, (.arguments // {} | tojson)')
	rp_id=${rp_parts%%
*}
	rp_parts=${rp_parts#*
}
	rp_name=${rp_parts%%
*}
	rp_arguments='' rp_text='' rp_result=0
	case $rp_known in
	*" $rp_name "*)
		"$(printf '%s' "$rp_name" | tr - _)" "${rp_parts#*
}" ||
			{ [ "$rp_result" != 0 ] || rp_fail "'$rp_name' has failed"; }
		;;
	*) rp_fail "'$rp_name' is none of this hook's commands" ;;
	esac
	jq -cn --argjson id "$rp_id" --argjson result "$rp_result" --arg text "$rp_text" --argjson arguments "${rp_arguments:-null}" \
		'{$id, $result, $text} + if $arguments != null then {$arguments} else {} end' >&4 ||
		printf '{"id":%s,"result":500,"text":"the hook wrote no JSON as its reply"}\n' "$rp_id" >&4
}
