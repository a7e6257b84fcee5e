package http

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rudderpost/rudderpost/transport/internal/httpauth"
)

// A response is the response to one request.
type response struct {
	http.ResponseController
	w           http.ResponseWriter
	r           *http.Request
	bodyTimeout time.Duration // for the rest of the body of a refused request

	challenge bool // the listener knows passwords or tokens, which a client may try after a 401
}

var (
	typeJSON  = []string{"application/json"}
	typeLines = []string{"application/x-ndjson"}
	noSniff   = []string{"nosniff"}
	noStore   = []string{"no-store"}
)

// writeHead writes the head of a response. The caller has set Content-Type.
func (o *response) writeHead(status int) {
	h := o.w.Header()
	h["X-Content-Type-Options"] = noSniff
	h["Cache-Control"] = noStore
	o.w.WriteHeader(status)
}

// writeTimeout is how long a client may take to read a response that Send does not write.
const writeTimeout = 10 * time.Second

// writeAll writes a whole response. No write follows it: net/http removes its deadline when the handler has returned.
func (o *response) writeAll(status int, text []byte) error {
	h := o.w.Header()
	h["Content-Type"] = typeJSON
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	_ = o.SetWriteDeadline(time.Now().Add(writeTimeout))
	o.writeHead(status)
	_, err := o.w.Write(text)
	if err == nil {
		err = o.Flush()
	}
	return err
}

// refuse answers a request that was refused.
func (o *response) refuse(refused *httpauth.RefusedError) {
	h := o.w.Header()
	for name, values := range refused.Header {
		h[name] = values
	}
	if refused.Status == http.StatusRequestTimeout || !o.discardBody() {
		h["Connection"] = []string{"close"}
	}
	_ = o.writeAll(refused.Status, errorBody(refused.Status, hint(refused)))
}

// setStatusHeaders sets the headers that belong to the status of a refusal.
func (o *response) setStatusHeaders(status int) {
	switch status {
	case http.StatusUnauthorized:
		if o.challenge {
			o.w.Header()["Www-Authenticate"] = []string{httpauth.Challenge}
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		o.w.Header()["Retry-After"] = []string{httpauth.RetryAfter}
	}
}

// maxUnread is how much of the body of a refused request is read and discarded, so that the connection can stay open.
const maxUnread = 64 << 10

// discardBody reads and discards the rest of the body. It returns false if the body is too long or too late: then the
// connection must be closed.
func (o *response) discardBody() bool {
	n := o.r.ContentLength
	if n == 0 {
		return true
	}
	if n < 0 || n > maxUnread || o.r.Header["Expect"] != nil {
		return false
	}
	httpauth.AllowEviction(o.r)
	_ = o.SetReadDeadline(time.Now().Add(o.bodyTimeout))
	_, err := io.Copy(io.Discard, o.r.Body)
	return err == nil
}

// errorBody returns the body of a status other than 200, with Kea's text and spacing. A hint follows Kea's text.
func errorBody(status int, hint string) []byte {
	text := http.StatusText(status)
	if hint != "" {
		text += ": " + hint
	}
	body := fmt.Appendf(nil, `{ "result": %d, "text": `, status)
	body, _ = jsontext.AppendQuote(body, strings.ToValidUTF8(text, "\ufffd")) // fails for invalid UTF-8 only
	return append(body, " }"...)
}

// hint returns what is wrong and what to do, for statuses that the client can correct. It is empty for 401 and 429,
// because the reason would help to guess a password.
func hint(refused *httpauth.RefusedError) string {
	switch refused.Status {
	case http.StatusBadRequest, http.StatusForbidden,
		http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return refused.Err.Error()
	}
	return ""
}
