package websocket_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const (
	echoMax = 100_000
	hello   = `{"id":1}`
	again   = `{"id":2}`
)

// id1 returns a frame of n bytes.
func id1(n int) string { return `{"id":1,"x":"` + strings.Repeat("x", n-15) + `"}` }

type say = [][]byte

// The frames of RFC 6455, as another implementation may send them. A reply to hello shows that the conn is open.
var frameCases = []struct {
	name string
	say  say
	hear []string
}{
	{"text", say{frame(fin|text, hello)}, []string{"text " + hello}},
	{"length 125", say{frame(fin|text, id1(125))}, []string{"text " + id1(125)}},
	{"length 126", say{frame(fin|text, id1(126))}, []string{"text " + id1(126)}},
	{"length 65535", say{frame(fin|text, id1(65535))}, []string{"text " + id1(65535)}},
	{"length 65536", say{frame(fin|text, id1(65536))}, []string{"text " + id1(65536)}},
	{"longest", say{frame(fin|text, id1(echoMax))}, []string{"text " + id1(echoMax)}},
	{"length longer than it need be", say{announced(fin|text, 8, hello)}, []string{"text " + hello}},
	{"two in one write", say{frame(fin|text, hello), frame(fin|text, again)}, []string{"text " + hello, "text " + again}},
	{"mask of zeros", say{{fin | text, 0x82, 0, 0, 0, 0, '{', '}'}}, []string{"text {}", "close 1000"}},

	{"two fragments", say{frame(text, `{"id"`), frame(fin|more, `:1}`)}, []string{"text " + hello}},
	{"empty first fragment", say{frame(text, ``), frame(fin|more, hello)}, []string{"text " + hello}},
	{"empty last fragment", say{frame(text, hello), frame(fin|more, ``)}, []string{"text " + hello}},
	{"a fragment for each byte", fragments(id1(300)), []string{"text " + id1(300)}},
	{"a cut inside a character", say{frame(text, "{\"id\":\"\xc3"), frame(fin|more, "\xa4\"}")}, []string{`text {"id":"ä"}`}},
	{"ping between fragments", say{frame(text, `{"id"`), frame(fin|ping, "x"), frame(fin|more, `:1}`)}, []string{"pong x", "text " + hello}},
	{"pong between fragments", say{frame(text, `{"id"`), frame(fin|pong, "x"), frame(fin|more, `:1}`)}, []string{"text " + hello}},
	{"close between fragments", say{frame(text, `{"id"`), frame(fin|closer, code(1000, ""))}, []string{"close 1000", "end"}},

	{"ping", say{frame(fin|ping, ""), frame(fin|text, hello)}, []string{"pong ", "text " + hello}},
	{"ping of 125 bytes", say{frame(fin|ping, id1(125))}, []string{"pong " + id1(125)}},
	{"ping that is no text", say{frame(fin|ping, "\x00\xff\xfe")}, []string{"pong \x00\xff\xfe"}},
	{"pong without a ping", say{frame(fin|pong, "x"), frame(fin|text, hello)}, []string{"text " + hello}},
	{"ping of 126 bytes", say{frame(fin|ping, id1(126))}, broken},
	{"pong of 126 bytes", say{frame(fin|pong, id1(126))}, broken},
	{"close of 126 bytes", say{frame(fin|closer, code(1000, strings.Repeat("x", 124)))}, broken},
	{"ping in fragments", say{frame(ping, "x"), frame(fin|more, "y")}, broken},
	{"pong in fragments", say{frame(pong, "x")}, broken},
	{"close in fragments", say{frame(closer, code(1000, ""))}, broken},

	{"reserved bit 1", say{frame(fin|rsv1|text, hello)}, broken},
	{"reserved bit 2", say{frame(fin|rsv2|text, hello)}, broken},
	{"reserved bit 3", say{frame(fin|rsv3|text, hello)}, broken},
	{"reserved bits of a ping", say{frame(fin|rsv1|ping, "")}, broken},
	{"reserved bits of a close", say{frame(fin|rsv3|closer, code(1000, ""))}, broken},
	{"reserved bits of a fragment", say{frame(text, "{"), frame(fin|rsv1|more, "}")}, broken},
	{"opcode 3", say{frame(fin|3, "")}, broken},
	{"opcode 4", say{frame(fin|4, "")}, broken},
	{"opcode 5", say{frame(fin|5, "")}, broken},
	{"opcode 6", say{frame(fin|6, "")}, broken},
	{"opcode 7", say{frame(fin|7, "x")}, broken},
	{"opcode 11", say{frame(fin|11, "")}, broken},
	{"opcode 12", say{frame(fin|12, "")}, broken},
	{"opcode 13", say{frame(fin|13, "")}, broken},
	{"opcode 14", say{frame(fin|14, "")}, broken},
	{"opcode 15", say{frame(fin|15, "x")}, broken},
	{"fragment of nothing", say{frame(fin|more, hello)}, broken},
	{"open fragment of nothing", say{frame(more, hello)}, broken},
	{"text in a text", say{frame(text, "{"), frame(fin|text, hello)}, broken},
	{"binary in a text", say{frame(text, "{"), frame(fin|binry, "x")}, broken},
	{"text without a mask", say{append([]byte{fin | text, 8}, hello...)}, broken},
	{"ping without a mask", say{{fin | ping, 0}}, broken},
	{"close without a mask", say{{fin | closer, 2, 3, 232}}, broken},
	{"HTTP", say{[]byte("GET / HTTP/1.1\r\n\r\n")}, broken},

	{"binary", say{frame(fin|binry, hello)}, []string{wordsBinary, "close 1003"}},
	{"binary in fragments", say{frame(binry, "{")}, []string{wordsBinary, "close 1003"}},
	{"no JSON", say{frame(fin|text, "hello")}, []string{`text {"result":1,"text":"a frame cannot start with the byte 'h' (offset 0)"}`, "close 1007"}},
	{"a number", say{frame(fin|text, " 1")}, []string{`text {"result":1,"text":"a frame cannot start with the byte '1' (offset 1)"}`, "close 1007"}},
	{"no comment", say{frame(fin|text, "{ /")}, []string{"text { /", "close 1000"}},
	{"comment", say{frame(fin|text, "# c\n{\"id\"/*x*/:1} // d")}, []string{`text {"id"     :1}`}},
	{"empty", say{frame(fin|text, "")}, []string{"text ", "close 1000"}},
	{"two values", say{frame(fin|text, hello+again)}, []string{"text " + hello + again, "close 1000"}},
	{"no UTF-8", say{frame(fin|text, "{\"id\":\"\xff\"}")}, []string{"text {\"id\":\"\xff\"}"}},

	{"too large", say{frame(fin|text, id1(echoMax+1))}, []string{wordsLarge, "close 1009"}},
	{"too large in fragments", say{frame(text, id1(echoMax)), frame(fin|more, " ")}, []string{wordsLarge, "close 1009"}},
	{"2^62 announced", say{announced(fin|text, 1<<62, id1(echoMax+1))}, []string{wordsLarge, "close 1009"}},
	{"2^63 announced", say{announced(fin|text, 1<<63, "")}, []string{wordsLarge, "close 1009"}},
	{"2^64-1 announced", say{announced(fin|text, 1<<64-1, "")}, []string{wordsLarge, "close 1009"}},
	{"2^64-1 announced for a fragment", say{frame(text, "{"), announced(fin|more, 1<<64-1, "")}, []string{wordsLarge, "close 1009"}},
	{"2^63 announced for a ping", say{announced(fin|ping, 1<<63, "")}, broken},

	{"close", say{frame(fin|closer, "")}, []string{"close", "end"}},
	{"close with half a code", say{frame(fin|closer, "\x03")}, []string{"close", "end"}},
	{"close with a reason", say{frame(fin|closer, code(1000, "bye"))}, []string{"close 1000", "end"}},
	{"close with a long reason", say{frame(fin|closer, code(4999, strings.Repeat("x", 123)))}, []string{"close 4999", "end"}},
	{"close with a reason that is no UTF-8", say{frame(fin|closer, code(1000, "\xff"))}, broken},
	{"nothing behind a close", say{frame(fin|closer, code(1000, "")), frame(fin|text, hello), frame(fin|ping, "")}, []string{"close 1000", "end"}},
}

const (
	wordsBinary = `text {"result":1,"text":"a binary message is no command; send the JSON as a text message"}`
	wordsLarge  = `text {"result":1,"text":"frame is longer than 100000 bytes"}`
)

var broken = []string{"close 1002", "end"}

// fragments sends each byte of a message in its own frame.
func fragments(message string) say {
	all := say{frame(text, message[:1])}
	for _, b := range message[1:] {
		all = append(all, frame(more, string(b)))
	}
	return append(all, frame(fin|more, ""))
}

func TestFramesOfRFC6455(t *testing.T) {
	at := daemon()
	at.MaxFrame = echoMax
	l := listen(t, at)
	echo(t, l)
	for _, test := range frameCases {
		t.Run(test.name, func(t *testing.T) {
			c := connect(t, l.Addr())
			c.say(test.say...)
			c.hears(test.hear...)
			last := test.hear[len(test.hear)-1]
			if last == "end" {
				return
			}
			if strings.HasPrefix(last, "close ") { // it is ours, and waits for theirs
				c.say(frame(fin|closer, code(1000, "")))
				c.hears("end")
				return
			}
			c.say(frame(fin|text, again), frame(fin|ping, "alive"))
			require.ElementsMatch(t, []string{"text " + again, "pong alive"}, []string{c.hear(), c.hear()})
		})
		if len(test.say) > 100 {
			continue
		}
		t.Run(test.name+", byte by byte", func(t *testing.T) {
			var all []byte
			for _, f := range test.say {
				all = append(all, f...)
			}
			if len(all) > 1000 {
				return
			}
			c := connect(t, l.Addr())
			for i := range all {
				if _, err := c.Write(all[i : i+1]); err != nil {
					break // it has heard enough
				}
			}
			c.hears(test.hear...)
		})
	}
}

func TestCloseCodes(t *testing.T) {
	l := listen(t, daemon())
	echo(t, l)
	for _, ok := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999} {
		c := connect(t, l.Addr())
		c.say(frame(fin|closer, code(ok, "why")))
		require.Equal(t, "close "+itoa(ok), c.hear())
		c.hears("end")
	}
	for _, bad := range []uint16{0, 1, 999, 1004, 1005, 1006, 1014, 1015, 1016, 1100, 2000, 2999, 5000, 65535} {
		c := connect(t, l.Addr())
		c.say(frame(fin|closer, code(bad, "why")))
		require.Equal(t, "close 1002 bad close code "+itoa(bad), c.hear())
		c.hears("end")
	}
}

// The close frame after a normal end has this text.
func TestCloseFrameAfterNormalEnd(t *testing.T) {
	l := listen(t, daemon())
	echo(t, l)
	c := connect(t, l.Addr())
	c.say(frame(fin|text, hello), frame(fin|text, "[]"))
	require.Equal(t, "text "+hello, c.hear())
	require.Equal(t, "text []", c.hear())
	require.Equal(t, "close 1000 the conn has ended: a request without an id is the last one", c.hear())
	c.say(frame(fin|text, again), frame(fin|closer, code(1000, "")))
	c.hears("end")
}
