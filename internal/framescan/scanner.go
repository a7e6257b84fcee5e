// Package framescan finds the frames in bytes: where each ends, with its comments blanked. Package transport and the
// transports whose protocol has messages use it.
package framescan

// A Scanner finds the end of a frame in a stream of bytes that arrives in pieces: behind the bracket that closes the first
// one. It counts brackets outside strings and does not match them; the JSON decoder does. It blanks comments outside
// strings in place and keeps line feeds, so that positions stay true. The rules are those of Kea.
type Scanner struct {
	state   scanState
	Pos     int // the next byte of the buffer to scan
	Start   int // the start of the frame in the buffer, when Depth > 0
	Depth   int // open brackets; 0: the scanner is before a frame, or behind it
	blanked int // bytes of comments inside the frame, without line feeds
}

// An Error is a byte that cannot stand where it stands: the first one of a frame, or the one behind a slash.
type Error struct {
	Comment bool // the byte is the one behind a slash that starts no comment
	Byte    byte
	Offset  int // the position of the byte, or of the slash
}

// BehindSlash reports whether the last byte is a slash that may start a comment.
func (s *Scanner) BehindSlash() bool { return s.state == slash }

type scanState uint8

const (
	outside       scanState = iota // between tokens, before or inside the frame
	inString                       // after an opening quote
	inEscape                       // after a backslash in a string
	slash                          // after a slash outside strings
	lineComment                    // until the line feed
	blockComment                   // after /*
	blockCommentX                  // after a star in a block comment
)

// The classes of bytes outside strings. Zero: the scanner skips the byte.
const (
	space = 1 << iota
	open
	closing
	quote
	commentStart // # or /
)

var class = [256]uint8{
	' ': space, '\t': space, '\n': space, '\r': space,
	'{': open, '[': open,
	'}': closing, ']': closing,
	'"': quote,
	'#': commentStart, '/': commentStart,
}

// Scan scans the bytes of buf from Pos on. It returns the end of the frame, or 0 when more bytes are needed. The caller
// then calls it again with the same bytes and more behind them.
func (s *Scanner) Scan(buf []byte) (end int, err *Error) {
	for s.Pos < len(buf) {
		switch s.state {
		case outside:
			s.skipQuiet(buf)
			if s.Pos == len(buf) {
				return 0, nil
			}
			c := buf[s.Pos]
			k := class[c]
			switch {
			case k == commentStart:
				s.state = slash
				if c == '#' {
					s.blank(buf, s.Pos)
					s.state = lineComment
				}
			case k == open:
				if s.Depth == 0 {
					s.Start = s.Pos
				}
				s.Depth++
			case s.Depth == 0:
				return 0, &Error{Byte: c, Offset: s.Pos}
			case k == quote:
				s.state = inString
			case k == closing:
				s.Depth--
				if s.Depth == 0 {
					s.Pos++
					return s.Pos, nil
				}
			}
			s.Pos++
		case inString:
			s.skipString(buf)
		case inEscape:
			s.state = inString
			s.Pos++
		default:
			if err := s.comment(buf); err != nil {
				return 0, err
			}
		}
	}
	return 0, nil
}

// skipQuiet moves Pos to the next byte that has a meaning outside strings, or to the end of buf.
func (s *Scanner) skipQuiet(buf []byte) {
	i := s.Pos
	quiet := &quietBefore
	if s.Depth > 0 {
		quiet = &quietInside
	}
	for i < len(buf) && quiet[buf[i]] {
		i++
	}
	s.Pos = i
}

// skipString moves Pos behind the closing quote or a backslash, or to the end of buf.
func (s *Scanner) skipString(buf []byte) {
	i := s.Pos // a variable of its own: half of the time (BenchmarkScan)
	for i < len(buf) && plain[buf[i]] {
		i++
	}
	if i < len(buf) {
		s.state = inEscape
		if buf[i] == '"' {
			s.state = outside
		}
		i++
	}
	s.Pos = i
}

// The bytes that have no meaning before a frame, between its tokens, and in its strings.
var quietBefore, quietInside, plain = func() (before, inside, plain [256]bool) {
	for c := range 256 {
		before[c] = class[c] == space
		inside[c] = class[c] == space || class[c] == 0
		plain[c] = c != '"' && c != '\\'
	}
	return before, inside, plain
}()

// comment scans one byte of a comment, or the byte behind a slash.
func (s *Scanner) comment(buf []byte) *Error {
	c := buf[s.Pos]
	switch s.state {
	case slash:
		switch c {
		case '/':
			s.state = lineComment
		case '*':
			s.state = blockComment
		default:
			return &Error{Comment: true, Byte: c, Offset: s.Pos - 1}
		}
		s.blank(buf, s.Pos-1)
	case lineComment:
		if c == '\n' {
			s.state = outside
		}
	case blockComment, blockCommentX:
		wasStar := s.state == blockCommentX
		s.state = blockComment
		if c == '*' {
			s.state = blockCommentX
		} else if c == '/' && wasStar {
			s.state = outside
		}
	}
	s.blank(buf, s.Pos)
	s.Pos++
	return nil
}

func (s *Scanner) blank(buf []byte, at int) {
	if buf[at] == '\n' {
		return
	}
	buf[at] = ' '
	if s.Depth > 0 {
		s.blanked++
	}
}

// Unfinished returns how many bytes of an incomplete frame are in a buffer of n bytes, without comments.
func (s *Scanner) Unfinished(n int) int {
	if s.Depth == 0 {
		return 0
	}
	return n - s.Start - s.blanked
}
