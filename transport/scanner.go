package transport

// A scanner finds where a frame ends in a stream of bytes that arrives in pieces: after the bracket
// that closes the first one, whatever comes behind it. Brackets are counted outside strings, not
// matched; matching them is for whoever reads the JSON. Comments outside strings are blanked in
// place, line feeds kept, so that positions stay true. The rules are Kea's.
type scanner struct {
	state   scanState
	pos     int // bytes of the buffer that have been looked at
	start   int // where the frame starts in the buffer, once depth > 0
	depth   int
	blanked int // bytes of comments inside the frame, a line feed not counted
}

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

// The classes of bytes outside strings; zero is a byte that is of no interest there.
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

// scan looks at what of buf it has not seen. It returns where the frame ends, or 0 when more bytes
// are needed. Then it wants to be called again with the same bytes and more behind them.
func (s *scanner) scan(buf []byte) (end int, err *FrameError) {
	for s.pos < len(buf) {
		switch s.state {
		case outside:
			s.skipQuiet(buf)
			if s.pos == len(buf) {
				return 0, nil
			}
			c := buf[s.pos]
			k := class[c]
			switch {
			case k == commentStart:
				s.state = slash
				if c == '#' {
					s.blank(buf, s.pos)
					s.state = lineComment
				}
			case k == open:
				if s.depth == 0 {
					s.start = s.pos
				}
				s.depth++
			case s.depth == 0:
				return 0, &FrameError{Reason: BadFirstByte, Byte: c, Offset: s.pos}
			case k == quote:
				s.state = inString
			case k == closing:
				s.depth--
				if s.depth == 0 {
					s.pos++
					return s.pos, nil
				}
			}
			s.pos++
		case inString:
			s.skipString(buf)
		case inEscape:
			s.state = inString
			s.pos++
		default:
			if err := s.comment(buf); err != nil {
				return 0, err
			}
		}
	}
	return 0, nil
}

// skipQuiet moves to the next byte that is of interest outside strings, or to the end of buf.
func (s *scanner) skipQuiet(buf []byte) {
	i := s.pos
	quiet := &quietBefore
	if s.depth > 0 {
		quiet = &quietInside
	}
	for i < len(buf) && quiet[buf[i]] {
		i++
	}
	s.pos = i
}

// skipString moves behind the closing quote or a backslash, or to the end of buf.
func (s *scanner) skipString(buf []byte) {
	i := s.pos // a variable of its own: half of the time (BenchmarkScan)
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
	s.pos = i
}

// What is of no interest before a frame, between its tokens, and in its strings.
var quietBefore, quietInside, plain = func() (before, inside, plain [256]bool) {
	for c := range 256 {
		before[c] = class[c] == space
		inside[c] = class[c] == space || class[c] == 0
		plain[c] = c != '"' && c != '\\'
	}
	return before, inside, plain
}()

// comment takes one byte of a comment, or of what may become one.
func (s *scanner) comment(buf []byte) *FrameError {
	c := buf[s.pos]
	switch s.state {
	case slash:
		switch c {
		case '/':
			s.state = lineComment
		case '*':
			s.state = blockComment
		default:
			return &FrameError{Reason: BadComment, Byte: c, Offset: s.pos - 1}
		}
		s.blank(buf, s.pos-1)
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
	s.blank(buf, s.pos)
	s.pos++
	return nil
}

func (s *scanner) blank(buf []byte, at int) {
	if buf[at] == '\n' {
		return
	}
	buf[at] = ' '
	if s.depth > 0 {
		s.blanked++
	}
}

// unfinished is how many bytes of a frame that is not yet whole there are in a buffer of n bytes,
// comments not counted.
func (s *scanner) unfinished(n int) int {
	if s.depth == 0 {
		return 0
	}
	return n - s.start - s.blanked
}
