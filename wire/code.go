package wire

import "strconv"

// A Code is the result of a command. 0 to 5 are Kea's and mean what they mean there; three-digit
// codes are HTTP's, where HTTP has a number for the cause; 1000 and above belong to the daemon.
type Code int

// The codes that rudderpost itself uses.
const (
	CodeSuccess         Code = 0   // done
	CodeError           Code = 1   // failed: a bad message, bad arguments, or the handler's own failure
	CodeUnsupported     Code = 2   // there is no such command
	CodeEmpty           Code = 3   // done, and nothing was found or affected
	CodeConflict        Code = 4   // well-formed, but against the state of the daemon
	CodeFatal           Code = 5   // failed, and the running configuration is partly changed
	CodeUnauthenticated Code = 401 // nothing is known about the peer, or its credential is no longer valid
	CodeForbidden       Code = 403 // the peer is not allowed to do this, or an administrator closed its session
	CodeTimeout         Code = 408 // it took longer than the timeout of the request
	CodeTooMany         Code = 429 // a limit is reached; try again later
	CodeCancelled       Code = 499 // the caller left or cancelled
	CodeInternal        Code = 500 // a defect in the daemon; its log says more
	CodeShuttingDown    Code = 503 // the daemon takes no more commands
)

var codeWords = map[Code]string{
	CodeSuccess:         "success",
	CodeError:           "failed",
	CodeUnsupported:     "unsupported",
	CodeEmpty:           "empty",
	CodeConflict:        "conflict",
	CodeFatal:           "fatal",
	CodeUnauthenticated: "unauthenticated",
	CodeForbidden:       "forbidden",
	CodeTimeout:         "timeout",
	CodeTooMany:         "too-many",
	CodeCancelled:       "cancelled",
	CodeInternal:        "internal",
	CodeShuttingDown:    "shutting-down",
}

// String returns the code's word, which is also the word of an Error without a word of its own.
func (c Code) String() string {
	if word, ok := codeWords[c]; ok {
		return word
	}
	return "result-" + strconv.Itoa(int(c))
}

// Failed reports whether the code is that of a failure: it is neither CodeSuccess nor CodeEmpty.
func (c Code) Failed() bool { return c != CodeSuccess && c != CodeEmpty }
