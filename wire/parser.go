package wire

import (
	"bytes"
	"strconv"
	"unicode/utf8"
)

// maxDepth is the number of levels at which a message is too deep. Kea's rule: 99 levels of maps and lists may have
// members, a 100th is allowed when it is empty. The message itself is the first level.
const maxDepth = 100

// A parser reads one JSON value in one pass, strictly, and keeps the values of certain members of the
// outermost map. It allocates nothing for a small message.
type parser struct {
	b     []byte
	i     int
	depth int

	outer   int               // the start of the outermost value
	names   []string          // the members of the outermost map to keep
	members [maxMembers]Value // the value of each of names; nil: not found
	unknown []byte            // the first other key in byte order
}

// maxMembers is the number of members of the outermost map that a parser can keep.
const maxMembers = 8

// A span is a key without its quotes.
type span struct {
	start, end int
	escaped    bool
}

// whole parses b as one value with nothing but white space around it.
func (p *parser) whole() *Error {
	var keys [16]span
	p.space()
	p.outer = p.i
	if err := p.value(keys[:0]); err != nil {
		return err
	}
	p.space()
	if p.i < len(p.b) {
		return p.errorf(p.i+1, "bad-json", "'%s' read, nothing expected behind the message", p.char())
	}
	return nil
}

func (p *parser) space() {
	for p.i < len(p.b) && p.b[p.i] <= ' ' {
		switch p.b[p.i] {
		case ' ', '\t', '\n', '\r':
			p.i++
		default:
			return
		}
	}
}

// value parses the value that starts at i. keys are the keys of all open maps around it, those of the
// innermost map last.
func (p *parser) value(keys []span) *Error {
	if p.i >= len(p.b) {
		return p.cut()
	}
	if p.depth >= maxDepth {
		return p.errorf(p.i+1, "too-deep", "fromJSON elements nested too deeply")
	}
	switch c := p.b[p.i]; c {
	case '{':
		return p.object(keys)
	case '[':
		return p.list(keys)
	case '"':
		_, err := p.text()
		return err
	case 't', 'f':
		return p.word("boolean", "true", "false")
	case 'n':
		return p.word("null", "null", "")
	case '-', '+', '.', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return p.number()
	}
	return p.errorf(p.i+1, "bad-json", "error: unexpected character %s", p.char())
}

func (p *parser) object(keys []span) *Error {
	p.depth++
	p.i++
	p.space()
	if p.i < len(p.b) && p.b[p.i] == '}' {
		p.i++
		p.depth--
		return nil
	}
	first := len(keys)
	var many map[string]struct{} // the keys, when they are too many for a linear search
	for {
		p.space()
		quote := p.i
		key, err := p.key()
		if err != nil {
			return err
		}
		if p.duplicate(key, keys[first:], &many) {
			if p.depth == 1 {
				p.member(key, nil) // neither of two values counts
			}
			return p.errorf(quote+1, "duplicate-key", "duplicate key '%s'", Shorten(p.string(key)))
		}
		keys = append(keys, key)
		if !p.take(':') {
			if err := p.expect(":"); err != nil {
				return err
			}
		}
		p.space()
		start := p.i
		if err := p.value(keys); err != nil {
			return err
		}
		end := p.i
		if !p.take(',') {
			if err := p.expect(",}"); err != nil {
				return err
			}
		}
		if p.depth == 1 { // not before the delimiter: the 0 of 0x1 is no value
			p.member(key, p.b[start:end:end])
		}
		if p.b[p.i-1] == '}' {
			p.depth--
			return nil
		}
	}
}

// key parses the key of a member.
func (p *parser) key() (span, *Error) {
	if p.i >= len(p.b) {
		return span{}, p.cut()
	}
	if p.b[p.i] != '"' {
		return span{}, p.errorf(p.i+1, "bad-json", "String expected")
	}
	return p.text()
}

func (p *parser) list(keys []span) *Error {
	p.depth++
	p.i++
	p.space()
	if p.i < len(p.b) && p.b[p.i] == ']' {
		p.i++
		p.depth--
		return nil
	}
	for {
		p.space()
		if err := p.value(keys); err != nil {
			return err
		}
		if p.take(',') {
			continue
		}
		if err := p.expect(",]"); err != nil {
			return err
		}
		if p.b[p.i-1] == ']' {
			p.depth--
			return nil
		}
	}
}

// take consumes c if it is the next byte. It is the fast path of expect.
func (p *parser) take(c byte) bool {
	if p.i < len(p.b) && p.b[p.i] == c {
		p.i++
		return true
	}
	return false
}

// expect skips white space and consumes the first or the last byte of one.
func (p *parser) expect(one string) *Error {
	p.space()
	if p.i >= len(p.b) {
		return p.cut()
	}
	c := p.b[p.i]
	if c != one[0] && c != one[len(one)-1] {
		return p.errorf(p.i+1, "bad-json", "'%s' read, one of \"%s\" expected", p.char(), one)
	}
	p.i++
	return nil
}

// duplicate reports whether key is among keys. It compares few keys one by one, and looks many up in a map.
func (p *parser) duplicate(key span, keys []span, many *map[string]struct{}) bool {
	const few = 16
	if len(keys) < few {
		for _, k := range keys {
			if !k.escaped && !key.escaped {
				if k.end-k.start == key.end-key.start && string(p.b[k.start:k.end]) == string(p.b[key.start:key.end]) {
					return true
				}
			} else if p.string(k) == p.string(key) {
				return true
			}
		}
		return false
	}
	if *many == nil {
		*many = make(map[string]struct{}, 2*few)
		for _, k := range keys {
			(*many)[p.string(k)] = struct{}{}
		}
	}
	name := p.string(key)
	_, taken := (*many)[name]
	(*many)[name] = struct{}{}
	return taken
}

// member keeps a member of the outermost map; with a nil value it drops one.
func (p *parser) member(key span, value []byte) {
	if p.names == nil {
		return
	}
	name := p.b[key.start:key.end]
	if key.escaped {
		name = []byte(p.string(key))
	}
	for i := range p.names {
		if string(name) == p.names[i] {
			p.members[i] = value
			return
		}
	}
	if p.unknown == nil || bytes.Compare(name, p.unknown) < 0 {
		p.unknown = name
	}
}

// text parses a string and returns its inside.
func (p *parser) text() (span, *Error) {
	s := span{start: p.i + 1}
	i := s.start
	b := p.b
	for i < len(b) {
		for i < len(b) && plainByte[b[i]] {
			i++
		}
		if i == len(b) {
			break
		}
		c := b[i]
		switch {
		case c == '"':
			s.end = i
			p.i = i + 1
			return s, nil
		case c == '\\':
			s.escaped = true
			n, word := escape(b[i:])
			if word != "" {
				return s, p.errorf(i+1, "bad-json", "%s", word)
			}
			i += n
		case c < ' ':
			return s, p.errorf(i+1, "bad-json", "unescaped control character in string")
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return s, p.errorf(i+1, "bad-json", "invalid UTF-8")
			}
			i += n
		}
	}
	p.i = i
	return s, p.errorf(i, "bad-json", "Unterminated string")
}

// plainByte is true for the bytes that stand for themselves in a string.
var plainByte = func() (plain [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

func (p *parser) word(kind, one, other string) *Error {
	start := p.i
	for p.i < len(p.b) && (p.b[p.i]|0x20 >= 'a' && p.b[p.i]|0x20 <= 'z') {
		p.i++
	}
	word := p.b[start:p.i]
	if string(word) == one || other != "" && string(word) == other {
		return nil
	}
	return p.errorf(start, "bad-json", "Bad %s value: %s", kind, Shorten(string(word)))
}

func (p *parser) number() *Error {
	start := p.i
	if n := digits(p.b[start:]); n > 0 && p.b[start] != '0' { // the fast path: a plain integer
		if end := start + n; end == len(p.b) || !numberByte[p.b[end]] {
			p.i = end
			return nil
		}
	}
	for p.i < len(p.b) && numberByte[p.b[p.i]] {
		p.i++
	}
	if n := p.b[start:p.i]; !isNumber(n) {
		return p.errorf(start, "bad-json", "Bad number: %s", Shorten(string(n)))
	}
	return nil
}

var numberByte = [256]bool{
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true,
	'8': true, '9': true, '+': true, '-': true, '.': true, 'e': true, 'E': true,
}

// isNumber reports whether b is a number of RFC 8259 section 6.
func isNumber(b []byte) bool {
	if len(b) > 0 && b[0] == '-' {
		b = b[1:]
	}
	whole := digits(b)
	if whole == 0 || whole > 1 && b[0] == '0' {
		return false
	}
	b = b[whole:]
	if len(b) > 0 && b[0] == '.' {
		fraction := digits(b[1:])
		if fraction == 0 {
			return false
		}
		b = b[1+fraction:]
	}
	if len(b) > 0 && b[0]|0x20 == 'e' {
		b = b[1:]
		if len(b) > 0 && (b[0] == '+' || b[0] == '-') {
			b = b[1:]
		}
		exponent := digits(b)
		return exponent > 0 && exponent == len(b)
	}
	return len(b) == 0
}

func digits(b []byte) (n int) {
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return n
}

// string returns a key as text.
func (p *parser) string(key span) string {
	if key.escaped {
		return unescape(p.b[key.start:key.end])
	}
	return string(p.b[key.start:key.end])
}

// char returns the byte at i as text. A byte that is no ASCII becomes the character of that number, as in Kea's
// texts.
func (p *parser) char() string { return string(rune(p.b[p.i])) }

func (p *parser) cut() *Error {
	return p.errorf(p.i, "bad-json", "unexpected end of the message")
}

// errorf returns an error with its place, after read bytes, counted as Kea counts. Lines
// count from 0; columns count from 0 in line 0, and from 1 in each later line.
func (p *parser) errorf(read int, word, format string, args ...any) *Error {
	read = min(read, len(p.b))
	column := read
	line := bytes.Count(p.b[:read], newline)
	if line > 0 {
		column -= bytes.LastIndexByte(p.b[:read], '\n')
	}
	e := Errorf(CodeError, word, format, args...)
	e.Text += " in <wire>:" + strconv.Itoa(line) + ":" + strconv.Itoa(column)
	return e
}

var newline = []byte{'\n'}
