// Package httphead reads the heads of HTTP/1 requests before net/http does, to find headers that net/http hides from its
// handlers.
package httphead

import (
	"bytes"
	"net/http"
	"sync/atomic"
)

// Framing notes which headers about the length of a body have come on a connection. net/http removes Content-Length
// from a request that has Transfer-Encoding too, and ignores the Transfer-Encoding of HTTP/1.0. A proxy in front of
// the server may read such a request in another way, and treat a part of its body as the next request (request
// smuggling, RFC 9112, sections 6.1, 6.3 and 11.2). So the server closes the connection after its response.
//
// Framing does not know where a body begins. A line of a body that looks like one of the two headers counts too. Then
// a connection is closed that could have stayed open; the opposite does not happen.
//
// A header counts for all requests of which net/http may have bytes in its buffer when the header arrives. Framing
// forgets the headers when net/http waits for a request and has less than a header line of it:
//
//	state    | when                                          | next
//	serving  | a request is read or answered                 | idle: Idle, from http.StateIdle
//	idle     | the request has been answered                 | awaiting: ReadDeadline, for the idle timeout
//	awaiting | net/http reads because it has less than four  | serving: ReadDeadline, since four have come
//	         | bytes of the next request; Scan forgets       |
//
// The zero value is ready, and serving. net/http's goroutine of the connection calls Idle and ReadDeadline, the
// goroutine that reads calls Scan, and any goroutine may call CloseAfter.
type Framing struct {
	state state
	seen  atomic.Uint32 // sawLength, sawTransfer
	name  string        // the header that the line may be, when pos is above 0
	pos   int           // how many bytes of name have come; notOurs: the rest of the line does not matter
}

type state uint8

const (
	serving state = iota
	idle
	awaiting
)

const (
	sawLength uint32 = 1 << iota
	sawTransfer
)

const notOurs = -1

const (
	lengthHeader   = "content-length:"
	transferHeader = "transfer-encoding:"
)

// Scan reads bytes that have come on the connection. It does not keep p.
func (f *Framing) Scan(p []byte) {
	if f.state == awaiting && f.seen.Load() != 0 {
		f.seen.Store(0)
	}
	for len(p) > 0 {
		if f.pos == notOurs {
			end := bytes.IndexByte(p, '\n')
			if end < 0 {
				return
			}
			p, f.pos = p[end+1:], 0
			continue
		}
		c := p[0] | 0x20 // a small letter; ':' and '-' stay
		if f.pos == 0 {
			switch c {
			case lengthHeader[0]:
				f.name = lengthHeader
			case transferHeader[0]:
				f.name = transferHeader
			default:
				f.pos = notOurs // p[0] may end the line
				continue
			}
		}
		if c != f.name[f.pos] {
			f.pos = notOurs
			continue
		}
		p = p[1:]
		if f.pos++; f.pos == len(f.name) {
			f.pos = notOurs
			if f.name == lengthHeader {
				f.seen.Or(sawLength)
			} else {
				f.seen.Or(sawTransfer)
			}
		}
	}
}

// Idle tells that net/http has announced http.StateIdle.
func (f *Framing) Idle() { f.state = idle }

// ReadDeadline tells that net/http sets a read deadline. It reports whether that deadline is the idle timeout.
func (f *Framing) ReadDeadline() (isIdleTimeout bool) {
	switch f.state {
	case idle:
		f.state = awaiting
		return true
	case awaiting:
		f.state = serving
	}
	return false
}

// CloseAfter reports whether the connection must be closed after the response to r: r may have both Content-Length
// and Transfer-Encoding, or is HTTP/1.0 and may have Transfer-Encoding.
func (f *Framing) CloseAfter(r *http.Request) bool {
	switch {
	case len(r.TransferEncoding) > 0:
		return f.seen.Load()&sawLength != 0
	case !r.ProtoAtLeast(1, 1):
		return f.seen.Load()&sawTransfer != 0
	}
	return false
}
