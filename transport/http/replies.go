package http

import (
	"net/http"
	"strings"
	"time"
)

// replies is the body of a 200: an array, or lines. A reply that is sent with a status (transport.WithStatus) and is the
// only one is the body of that status, without an array.
//
// The first reply of an array is held until the next one comes or there is none, so that a single
// one, which is the rule, has a Content-Length and goes out with its head in one write. A long one
// is not held, since whoever sends it counts its bytes until they are gone.
type replies struct {
	out   *response
	lines bool
	held  *[]byte // the first reply, between opening and closing
	count int     // replies that were sent or are held
	begun bool    // the head is out, without a length

	status int // of the reply that is held, if that is a refusal; 0: none
}

// Kea's spacing.
const (
	opening   = "[ "
	separator = ", "
	closing   = " ]"
)

func (s *replies) init(out *response) {
	s.out = out
	for _, accepted := range out.r.Header["Accept"] {
		s.lines = s.lines || strings.Contains(strings.ToLower(accepted), typeLines[0])
	}
}

// send takes replies, in order. status is that of a refusal, which is the only one; 0: none.
func (s *replies) send(status int, frames [][]byte) error {
	if len(frames) == 0 {
		return nil
	}
	if status != 0 && s.count == 0 && len(frames) == 1 {
		s.hold(frames[0])
		s.count, s.status = 1, status
		return nil
	}
	s.status = 0
	if !s.lines && s.count == 0 && len(frames) == 1 && (len(frames[0]) <= maxHeld || isList(frames[0])) {
		s.hold(frames[0])
		s.count = 1
		return nil
	}
	if err := s.begin(); err != nil {
		return err
	}
	for _, frame := range frames {
		if err := s.write(frame); err != nil {
			return err
		}
	}
	return s.out.Flush()
}

func (s *replies) hold(frame []byte) {
	s.held = bodies.Get().(*[]byte)
	text := (*s.held)[:0]
	text = append(text, opening...)
	text = append(text, frame...)
	text = append(text, closing...)
	*s.held = text
}

// chunked reports whether the response went out without its length.
func (s *replies) chunked() bool { return s.begun }

// release gives the buffer of the held reply back.
func (s *replies) release() {
	if s.held != nil && cap(*s.held) <= maxHeld {
		bodies.Put(s.held)
	}
	s.held = nil
}

// begin starts a body whose length nobody knows, with the reply that was held.
func (s *replies) begin() error {
	if s.count > 0 && s.held == nil {
		return nil
	}
	h := s.out.w.Header()
	h["Content-Type"] = typeJSON
	if s.lines {
		h["Content-Type"] = typeLines
	}
	s.out.head(http.StatusOK)
	s.begun = true
	if s.held == nil {
		return nil
	}
	defer s.release()
	text := *s.held
	_, err := s.out.w.Write(text[:len(text)-len(closing)])
	return err
}

// write writes one of several replies, or a long one.
func (s *replies) write(frame []byte) error {
	before, behind := separator, ""
	switch {
	case s.lines:
		before, behind = "", "\n"
	case s.count == 0:
		before = opening
	}
	s.count++
	if err := s.writeText(before); err != nil {
		return err
	}
	if _, err := s.out.w.Write(frame); err != nil {
		return err
	}
	return s.writeText(behind)
}

func (s *replies) writeText(text string) error {
	_, err := s.out.w.Write([]byte(text))
	return err
}

// end sends what is left: all of it, most often. Without a reply the status says whether a command
// may have run.
func (s *replies) end(taken bool) error {
	defer s.release()
	switch {
	case s.held != nil && s.status != 0:
		text := *s.held
		s.out.explain(s.status)
		return s.out.whole(s.status, text[len(opening):len(text)-len(closing)])
	case s.held != nil:
		text := *s.held
		if inner := text[len(opening) : len(text)-len(closing)]; isList(inner) {
			text = inner // Kea wraps no list
		}
		return s.out.whole(http.StatusOK, text)
	case s.count == 0 && taken:
		return s.out.whole(http.StatusInternalServerError, bare(http.StatusInternalServerError, ""))
	case s.count == 0:
		s.out.w.Header()["Connection"] = []string{"close"}
		s.out.explain(http.StatusServiceUnavailable)
		return s.out.whole(http.StatusServiceUnavailable, bare(http.StatusServiceUnavailable, ""))
	case s.lines:
		return nil
	}
	_ = s.out.SetWriteDeadline(time.Now().Add(writeTimeout))
	err := s.writeText(closing)
	if err == nil {
		err = s.out.Flush()
	}
	return err
}

func isList(frame []byte) bool { return len(frame) > 0 && frame[0] == '[' }
