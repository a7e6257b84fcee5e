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

// A response is what goes back to the client of one request.
type response struct {
	http.ResponseController
	w        http.ResponseWriter
	r        *http.Request
	patience time.Duration // with a client that does not send what it has announced

	challenge bool // the listener knows passwords or tokens, which a client may try after a 401
}

var (
	typeJSON  = []string{"application/json"}
	typeLines = []string{"application/x-ndjson"}
	noSniff   = []string{"nosniff"}
	noStore   = []string{"no-store"}
)

// head begins a response. Its Content-Type is set.
func (o *response) head(status int) {
	h := o.w.Header()
	h["X-Content-Type-Options"] = noSniff
	h["Cache-Control"] = noStore
	o.w.WriteHeader(status)
}

// writeTimeout is how long a client may take to read a response that is not sent by Send.
const writeTimeout = 10 * time.Second

// whole writes a response that is nothing but text, and sends it. Nobody writes after it: its deadline is left
// to net/http, which takes it back when the handler has returned.
func (o *response) whole(status int, text []byte) error {
	h := o.w.Header()
	h["Content-Type"] = typeJSON
	h["Content-Length"] = []string{strconv.Itoa(len(text))}
	_ = o.SetWriteDeadline(time.Now().Add(writeTimeout))
	o.head(status)
	_, err := o.w.Write(text)
	if err == nil {
		err = o.Flush()
	}
	return err
}

// refuse answers a request that does not become a conn.
func (o *response) refuse(no *httpauth.RefusedError) {
	h := o.w.Header()
	for name, values := range no.Header {
		h[name] = values
	}
	if no.Status == http.StatusRequestTimeout || !o.skip() {
		h["Connection"] = []string{"close"}
	}
	_ = o.whole(no.Status, bare(no.Status, hint(no)))
}

// explain sets the headers that belong to the status of a refusal.
func (o *response) explain(status int) {
	switch status {
	case http.StatusUnauthorized:
		if o.challenge {
			o.w.Header()["Www-Authenticate"] = []string{httpauth.Challenge}
		}
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		o.w.Header()["Retry-After"] = []string{httpauth.RetryAfter}
	}
}

// maxUnread is how much of the body of a refused request is read and thrown away, so that the
// connection can stay.
const maxUnread = 64 << 10

// skip reads what is left of the body. It is false when that would be too much: then the connection
// cannot stay.
func (o *response) skip() bool {
	n := o.r.ContentLength
	if n == 0 {
		return true
	}
	if n < 0 || n > maxUnread || o.r.Header["Expect"] != nil {
		return false
	}
	httpauth.AllowEviction(o.r)
	_ = o.SetReadDeadline(time.Now().Add(o.patience))
	_, err := io.Copy(io.Discard, o.r.Body)
	return err == nil
}

// bare is the body of a status that is not 200, in Kea's words and Kea's spacing. Behind Kea's words stands what is wrong.
func bare(status int, hint string) []byte {
	text := http.StatusText(status)
	if hint != "" {
		text += ": " + hint
	}
	body := fmt.Appendf(nil, `{ "result": %d, "text": `, status)
	body, _ = jsontext.AppendQuote(body, strings.ToValidUTF8(text, "\ufffd")) // fails for invalid UTF-8 only
	return append(body, " }"...)
}

// hint says what is wrong, and what to do, for the statuses that are the client's to mend. 401 and 429 say nothing:
// it would help to guess.
func hint(no *httpauth.RefusedError) string {
	switch no.Status {
	case http.StatusBadRequest, http.StatusForbidden,
		http.StatusMethodNotAllowed, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		return no.Err.Error()
	}
	return ""
}
