package record

import (
	"encoding/hex"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxArguments is the longest text of arguments in an Entry, in bytes. It keeps every line below MaxLine.
const MaxArguments = 4 << 10

// MaxLine is the longest line in bytes: all strings at their longest, with each byte escaped.
const MaxLine = 64 << 10

// LinePrefix is the beginning of every line.
const LinePrefix = `{"seq":`

// Append appends the line of an entry to dst, without the newline. Members are in a fixed order, seq first and prev
// last. Strings are truncated to MaxText. Characters that are not printable are escaped, so that an entry stays one
// line and cannot control a terminal.
func (e *Entry) Append(dst []byte) []byte { return new(Encoder).Append(dst, e) }

// An Encoder appends entries. It keeps the encoded time and peer of the last entry, since the next entry often has
// the same. Entries that are appended sixteen at a time cost a tenth less (BenchmarkAudit). The zero Encoder is
// ready. It must not be used concurrently.
type Encoder struct {
	at      time.Time
	peer    [6]string
	last    []byte // the encoded time, then the encoded peer
	timeLen int    // the length of the encoded time
}

// Append is Entry.Append with the same result.
func (enc *Encoder) Append(dst []byte, e *Entry) []byte {
	if peer := [...]string{e.Principal, e.Claim, e.Transport, e.Address, e.Listener, e.Session}; enc.last == nil || e.Time != enc.at || peer != enc.peer {
		enc.at, enc.peer = e.Time, peer
		enc.last = appendTime(enc.last[:0], e.Time)
		enc.timeLen = len(enc.last)
		enc.last = appendMember(enc.last, `,"principal":`, e.Principal)
		enc.last = appendMember(enc.last, `,"claim":`, e.Claim)
		enc.last = appendMember(enc.last, `,"transport":`, e.Transport)
		enc.last = appendMember(enc.last, `,"address":`, e.Address)
		enc.last = appendMember(enc.last, `,"listener":`, e.Listener)
		enc.last = appendMember(enc.last, `,"session":`, e.Session)
	}
	dst = append(dst, LinePrefix...)
	dst = strconv.AppendUint(dst, e.Seq, 10)
	dst = append(dst, `,"time":"`...)
	dst = append(dst, enc.last[:enc.timeLen]...)
	dst = append(dst, `","event":`...)
	dst = appendString(dst, string(e.Event))
	dst = append(dst, enc.last[enc.timeLen:]...)
	dst = appendMember(dst, `,"command":`, e.Command)
	dst = appendMember(dst, `,"access":`, e.Access)
	dst = appendNumber(dst, `,"intent":`, e.Intent)
	if !e.Digest.IsZero() {
		dst = append(dst, `,"arguments-sha256":"`...)
		dst = hex.AppendEncode(dst, e.Digest[:])
		dst = append(dst, '"')
	}
	if e.Arguments != nil {
		dst = append(dst, `,"arguments":`...)
		dst = AppendCompact(dst, e.Arguments)
	}
	if e.Event.hasResult() {
		dst = append(dst, `,"result":`...)
		dst = strconv.AppendInt(dst, int64(e.Result), 10)
		dst = append(dst, `,"duration":`...)
		dst = appendSeconds(dst, e.Duration)
	}
	dst = appendMember(dst, `,"text":`, e.Text)
	dst = appendNumber(dst, `,"count":`, e.Count)
	dst = appendNumber(dst, `,"torn":`, uint64(max(e.Torn, 0)))
	dst = appendNumber(dst, `,"missing-since":`, e.MissingSince)
	dst = appendMember(dst, `,"doubt":`, string(e.Doubt))
	dst = append(dst, `,"prev":"`...)
	dst = hex.AppendEncode(dst, e.Prev[:])
	return append(dst, `"}`...)
}

func appendMember(dst []byte, name, text string) []byte {
	if text == "" {
		return dst
	}
	return appendString(append(dst, name...), text)
}

func appendNumber(dst []byte, name string, n uint64) []byte {
	if n == 0 {
		return dst
	}
	return strconv.AppendUint(append(dst, name...), n, 10)
}

// appendTime appends a time. A year that has not four digits becomes the zero time.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		t = time.Time{}
	}
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = appendDigits(dst, year, 4)
	dst = appendDigits(append(dst, '-'), int(month), 2)
	dst = appendDigits(append(dst, '-'), day, 2)
	dst = appendDigits(append(dst, 'T'), hour, 2)
	dst = appendDigits(append(dst, ':'), minute, 2)
	dst = appendDigits(append(dst, ':'), second, 2)
	dst = appendDigits(append(dst, '.'), t.Nanosecond()/1000, 6)
	return append(dst, 'Z')
}

// appendSeconds appends a duration in seconds, with microseconds.
func appendSeconds(dst []byte, d time.Duration) []byte {
	micro := max(d, 0).Microseconds()
	dst = strconv.AppendInt(dst, micro/1e6, 10)
	return appendDigits(append(dst, '.'), int(micro%1e6), 6)
}

func appendDigits(dst []byte, n, digits int) []byte {
	end := len(dst) + digits
	for range digits {
		dst = append(dst, '0')
	}
	for i := end - 1; n > 0; i, n = i-1, n/10 {
		dst[i] = byte('0' + n%10)
	}
	return dst
}

// MaxText is the longest string in an Entry, in bytes. A longer one is truncated, and ends with "…".
const MaxText = 256

const (
	ellipsis  = "…"
	hexDigits = "0123456789abcdef"
)

// appendString appends a text as a JSON string. A peer may have chosen the text.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	if len(s) <= MaxText && isPlain(s) {
		dst = append(dst, s...)
		return append(dst, '"')
	}
	s, shortened := shorten(s)
	for _, r := range s { // invalid UTF-8 becomes U+FFFD
		switch r {
		case '"', '\\':
			dst = append(dst, '\\', byte(r))
		default:
			dst = appendRune(dst, r)
		}
	}
	if shortened {
		dst = append(dst, ellipsis...)
	}
	return append(dst, '"')
}

// isPlain reports whether a text needs no escapes in a JSON string.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// shorten truncates s so that with the ellipsis it has at most MaxText bytes when it is decoded.
func shorten(s string) (string, bool) {
	size, fits := 0, 0
	for i, r := range s {
		if size <= MaxText-len(ellipsis) {
			fits = i
		}
		if size += utf8.RuneLen(r); size > MaxText {
			return s[:fits], true
		}
	}
	return s, false
}

// appendRune appends a character. It escapes a character that is not printable, such as a control character or one that
// changes the direction of a text.
func appendRune(dst []byte, r rune) []byte {
	switch {
	case unicode.IsPrint(r):
		return utf8.AppendRune(dst, r)
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return appendUnit(appendUnit(dst, high), low)
	}
	return appendUnit(dst, r)
}

func appendUnit(dst []byte, r rune) []byte {
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// AppendCompact appends JSON to dst without white space between tokens, and with escapes for characters that are not
// printable. It changes no value. The text must be well-formed.
func AppendCompact(dst, text []byte) []byte {
	inside := false
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(text[i:])
			dst = appendRune(dst, r)
			i += n
			continue
		case c == '"':
			inside = !inside
		case inside && c == '\\' && i+1 < len(text) && text[i+1] < utf8.RuneSelf:
			dst = append(dst, c)
			i++
			c = text[i]
		}
		switch {
		case inside && (c < ' ' || c == 0x7f):
			dst = appendUnit(dst, rune(c))
		case c == ' ' && inside, c > ' ':
			dst = append(dst, c)
		}
		i++
	}
	return dst
}
