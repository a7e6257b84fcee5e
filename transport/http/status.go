package http

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A StatusError is an answer that is no reply, since its HTTP status is not 200: unless that is 500,
// no command was run.
type StatusError struct {
	Status     int
	Text       string        // what the daemon says about it
	RetryAfter time.Duration // when it makes sense to try again; 0: it does not say
}

// Error says what happened and what can be done about it.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("HTTP status %d, %s", e.Status, http.StatusText(e.Status))
	if e.Text != "" && e.Text != http.StatusText(e.Status) {
		text = fmt.Sprintf("HTTP status %d, %q", e.Status, e.Text)
	}
	switch e.Status {
	case http.StatusUnauthorized:
		text += "; credentials are needed or wrong: --user, --token-file or --cert"
	case http.StatusForbidden:
		if e.Text == "" || e.Text == http.StatusText(e.Status) {
			text += "; the daemon does not know this host name as its own, or what is in front of it refuses: use its address, or add the name to allow-hosts"
		}
	case http.StatusTooManyRequests:
		if e.RetryAfter > 0 {
			text += fmt.Sprintf("; try again in %s", e.RetryAfter)
		}
	case http.StatusServiceUnavailable:
		text += "; the daemon is starting or shutting down: try again"
	}
	return text
}

// statusError makes an error of an answer that is not 200, and of its body.
func statusError(answer *http.Response, body []byte) *StatusError {
	e := &StatusError{Status: answer.StatusCode}
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil && seconds > 0 {
		e.RetryAfter = time.Duration(min(seconds, 1<<20)) * time.Second
	}
	if _, rest, ok := strings.Cut(string(body), `"text":`); ok {
		quoted, _ := strconv.QuotedPrefix(strings.TrimLeft(rest, " "))
		e.Text, _ = strconv.Unquote(quoted)
	}
	return e
}
